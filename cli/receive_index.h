// The index of what neon-redo receive writes, made beside it.
#ifndef NEON_REDO_CLI_RECEIVE_INDEX_H_
#define NEON_REDO_CLI_RECEIVE_INDEX_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cpp_core/base/backoff.h"
#include "cpp_core/redo/worker/child_process.h"
#include "neon_redo/lsn.h"

namespace neon_redo::cli {

struct ReceiveIndexOptions {
  std::string program;  // neon-redo
  std::string wal, directory;
  bool untested_versions = false;
  // Segments are indexed once they have been complete for so long. What was changed just now may change again
  // unseen, so an index would have to read it again (cpp_core/index/build.h).
  std::chrono::milliseconds settle{2100};
  std::chrono::milliseconds first_pause{1000}, longest_pause{300'000};  // after failures
  std::function<void(const std::string& line)> say;
};

// Runs `neon-redo index` for the segments that are complete, in a process of its own with a low priority: neither
// its work nor its memory nor its end is the receiver's. It rests for four times as long as it worked. A failure is
// said, and tried again later. No function waits, but for the destructor, which ends the process. Not thread-safe, and
// used by one thread: the process ends with it.
class ReceiveIndex {
 public:
  using Clock = std::chrono::steady_clock;

  explicit ReceiveIndex(ReceiveIndexOptions options)
      : options_(std::move(options)), backoff_(options_.first_pause, options_.longest_pause) {}

  // ArchiveOptions::on_complete.
  void Complete(Lsn end, Clock::time_point now);
  // Starts and ends what is due. Call it now and then.
  void Step(Clock::time_point now);

  Lsn indexed() const { return indexed_; }  // WAL before this is; 0: not known yet
  // Complete WAL that is not; all WAL up to there while that is not known.
  uint64_t behind() const { return complete_ > indexed_ ? complete_ - indexed_ : 0; }
  uint64_t failures() const { return failures_; }

 private:
  struct Candidate {
    Lsn end;
    Clock::time_point since;
  };

  void Start(Clock::time_point now);
  bool ReadOutput();
  void Finish(Clock::time_point now);
  void Fail(const std::string& why, Clock::time_point now);
  void SayFirstNotes();

  const ReceiveIndexOptions options_;
  Backoff backoff_;
  std::optional<ChildProcess> child_;
  std::string output_, errors_;  // of it
  Clock::time_point began_{}, next_{};
  std::optional<Candidate> candidate_;
  Lsn wanted_;          // what the process indexes, or is to index once more
  Lsn complete_;        // the newest that Complete was told
  Lsn indexed_, from_;  // from_: where the next process begins; 0: with all WAL that is there
  Lsn first_;           // the first that Complete was told
  bool has_said_notes_ = false;
  uint64_t failures_ = 0;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_RECEIVE_INDEX_H_

// A cluster that a server runs on, compared while it runs, in several looks.
//
// A look is one pass over the WAL from the base backup to the end. What no record changes after the last
// checkpoint's redo point is on disk as WAL makes it. What is newer is undecided, and looked at again after
// the next checkpoint. What differs is damage only if, once it was read again with the same bytes, the WAL
// that is there by then does not change it: a server writes a page after its WAL.
//
// That does not hold for SLRUs and whole files, which may be ahead of WAL that is not flushed. So what is
// found there counts once another look has found it, after the next checkpoint or kFlushed.
#ifndef NEON_REDO_VERIFY_RUNNING_H_
#define NEON_REDO_VERIFY_RUNNING_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/verify/cluster_inputs.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/recent_wal.h"
#include "cpp_core/verify/running_look.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// What a server's background writer needs at most to have WAL flushed, if bgwriter_delay is not above its
// default: it logs a snapshot when the last one is 15 s old (LOG_SNAPSHOT_INTERVAL_MS), sees that only when it
// wakes up, and sleeps for up to 50 times (HIBERNATE_FACTOR) 200 ms. The WAL writer flushes it soon after.
inline constexpr std::chrono::seconds kFlushed{30};

// Why what is undecided at the end was skipped.
inline constexpr const char* kUndecidedOnRunning = "changed all the time while the server ran";

// Adds what a later look has decided to the result of those before, and takes over where it ended. A loss in the
// backup that both have met is counted once.
void AddLook(VerifyResult look, VerifyResult* result);

// How long forks are by WAL, for a look that replays some blocks only.
class TouchedForks {
 public:
  void Take(const RecordView& record, const ChangeList& others);
  // One more than the highest block that WAL changes and leaves.
  const ForkSizes& sizes() const { return sizes_; }

 private:
  void Forget(const BlockTag& first, const BlockTag& last);

  ForkSizes sizes_;
};

// What the looks at one running server have in common. Not thread-safe.
class RunningServer {
 public:
  // The server that runs on data, which must outlive the object.
  static Result<std::unique_ptr<RunningServer>> Find(const BaseBackup& data);

  // kInvalidArgument: it has stopped, was started again, or was promoted.
  Status CheckStillRuns() const;

  bool is_standby() const { return control_.in_recovery; }
  bool is_first_look() const { return looks_.empty(); }
  // The blocks of the next look; null: all.
  const std::set<BlockTag>* only() const { return is_first_look() ? nullptr : &only_; }
  const RunningOptions& options() const { return options_; }

  // During a look: what threads have seen of pages, and where what is found elsewhere goes.
  void Add(RunningLook look) { seen_.push_back(std::move(look)); }
  std::vector<RunningLook>* seen() { return &seen_; }
  VerifyResult* others() { return &others_; }
  Status BeginLook();

  struct Look {
    const VerifyOptions& options;
    const ClusterInputs& inputs;
    Lsn settled, wal_end;
    std::function<std::set<uint32_t>()> find_dropping;  // databases that are being dropped
  };
  // After the comparison: decides what was seen. Adds what is decided to *result.
  Status EndLook(const Look& look, VerifyResult* result);

  // What the next look is to wait for.
  enum class Next { kNothing, kNow, kCheckpoint, kFlush };
  Next next() const;
  // Waits for that. False: `deadline` was reached. Errors: of CheckStillRuns.
  Result<bool> Await(std::chrono::steady_clock::time_point deadline,
                     const ProgressFunction& progress);

  // Adds what is left, after the last look, to *result.
  void Finish(VerifyResult* result);

 private:
  using Clock = std::chrono::steady_clock;
  // What a finding is about.
  using Key = std::tuple<BlockTag, std::string, Damage>;
  struct Sighting {
    Clock::time_point time;
    Lsn redo;                   // of the last checkpoint then
    bool is_confirmed = false;  // by this look
  };

  struct Evidence {
    const RecentWal& wal;
    std::set<BlockTag> rewritten;  // since they were read
    std::set<uint32_t> dropping;
    bool Excuses(const Mismatch& mismatch) const {
      return dropping.contains(mismatch.tag.rel.db) || wal.Excuses(mismatch);
    }
  };
  struct Undecided;

  Result<std::set<BlockTag>> ReadAgain() const;
  std::set<BlockTag> Wanted() const;
  Status ReadWal(const Look& look, RecentWal* recent) const;
  void Decide(const Evidence& evidence, VerifyResult* result);
  RunningLook::Suspect Described(const RunningLook::Brief& brief) const;
  void DecideSuspect(const RunningLook::Suspect& suspect, const Evidence& evidence, Undecided* left,
                     Findings* found, VerifyResult* result);
  void DecideOthers(const Evidence& evidence);
  bool IsConfirmed(const Mismatch& mismatch);
  bool IsReady(const Sighting& sighting, Clock::time_point now, Lsn redo) const {
    return now - sighting.time >= kFlushed || redo > sighting.redo;
  }

  explicit RunningServer(const BaseBackup& data) : data_(data) {}

  const BaseBackup& data_;
  std::string process_;  // that runs it
  ControlData control_;  // as it was at first
  RunningOptions options_;
  std::set<BlockTag> only_;
  size_t undecided_ = 0;    // of them, which wait for a checkpoint
  bool is_urgent_ = false;  // others of them need not wait
  std::vector<RunningLook> seen_;
  VerifyResult others_;
  std::map<Key, Sighting> sightings_, earlier_;  // of this look, and of the one before
  uint64_t doubtful_ = 0;  // what this look has found beside pages, and WAL may have changed
  int urgent_looks_ = 0, flush_looks_ = 0;  // that waited for no checkpoint
  Clock::time_point look_began_;
  Lsn redo_at_begin_, redo_at_end_;  // of the look
  Lsn settled_;
  std::vector<RunningCluster::Look> looks_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_RUNNING_H_

// When it is worth reading a directory of WAL again.
#ifndef NEON_REDO_WAL_WATCH_H_
#define NEON_REDO_WAL_WATCH_H_

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "neon_redo/lsn.h"

namespace neon_redo {

// Compares what the file system says about each directory, about the segment that reading ended in
// and the one after it, and about the directories inside that may have these (pgBackRest, Barman). So
// nothing is opened while no WAL comes, however many segments there are. Not thread-safe.
class WalWatch {
 public:
  using Clock = std::chrono::system_clock;  // that of files' times

  // The directories that have the segments (WalSet::directories).
  explicit WalWatch(std::vector<std::string> directories) : directories_(std::move(directories)) {}

  // Reading begins.
  void Begin(Clock::time_point now) { began_ = now; }
  // Whether WAL may have come since Begin, after reading ended at this LSN of this timeline (0: it is
  // not known). True also when a change may have had the same time as Begin, and once in kLongest:
  // a file server may have another clock.
  bool MayHaveGrown(uint32_t timeline, Lsn end, uint32_t segment_size, Clock::time_point now);

  static constexpr std::chrono::seconds kLongest{30};

 private:
  struct State {
    ino_t inode = 0;
    off_t size = 0;
    Clock::time_point changed;  // content or name, whatever the file's own time is set to
    bool operator==(const State&) const = default;
  };
  static State StateOf(const std::string& path);

  std::vector<std::string> directories_;
  Clock::time_point began_;
  std::vector<State> known_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_WATCH_H_

// A backup or a data directory whose files are read no faster than a limit allows.
#ifndef NEON_REDO_BACKUP_LIMITED_BACKUP_H_
#define NEON_REDO_BACKUP_LIMITED_BACKUP_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "cpp_core/backup/base_backup.h"

namespace neon_redo {

// Thread-safe.
class RateLimit {
 public:
  // Above 0.
  explicit RateLimit(uint64_t bytes_per_second) : rate_(static_cast<double>(bytes_per_second)) {}

  // Waits until so many bytes, after those of earlier calls, keep to the limit.
  void Wait(uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  const double rate_;
  std::mutex mutex_;
  Clock::time_point free_at_;  // when all earlier calls have kept to it
};

// The same files as `files`. Both must outlive the object. Listing them, and the WAL that is beside them, is
// not limited.
std::unique_ptr<BaseBackup> LimitRate(const BaseBackup& files, RateLimit* limit);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_LIMITED_BACKUP_H_

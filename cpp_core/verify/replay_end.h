// Where the replay of a backup ends, and why.
#ifndef NEON_REDO_VERIFY_REPLAY_END_H_
#define NEON_REDO_VERIFY_REPLAY_END_H_

#include <optional>
#include <string>

#include "cpp_core/wal/commit_time.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"
#include "neon_redo/verify.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// One reading of WAL, up to a recovery target if there is one. Not thread-safe.
class ReplayEnd {
 public:
  explicit ReplayEnd(const VerifyOptions& options)
      : target_{options.until_lsn, options.until_time} {}

  // Before each record is taken. view: a buffer. True: recovery stops before this record.
  Result<bool> StopsBefore(const WalRecord& record, RecordView* view);
  // After it was taken.
  void Took(const WalRecord& record) {
    end_ = record.end;
    reached_ = target_.StopsAfter(record.start);
  }

  bool reached() const { return reached_; }
  Lsn end() const { return end_; }  // of the last record that was taken; 0: there was none
  std::optional<WalTime> last_transaction() const { return last_transaction_; }

  // Whether recovery to the target is possible; without one it is. kNotFound: WAL, in the directories
  // that `wal` names, ends before it. kInvalidArgument: it is before the end of the backup.
  Status Check(const WalReader& reader, const std::string& wal, const std::string& backup,
               bool backup_ended) const;
  // Why no more was taken, where nothing else ended it.
  std::string Reason(const WalReader& reader) const;

 private:
  std::string TargetText() const;

  const RecoveryTarget target_;
  bool reached_ = false;
  Lsn end_;
  std::optional<WalTime> last_transaction_;
  std::optional<WalTime> stopped_at_;  // when the transaction ended that replay stopped before
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_REPLAY_END_H_

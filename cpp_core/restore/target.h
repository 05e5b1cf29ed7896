// Where a restore ends: what PostgreSQL's settings recovery_target_lsn, _time, _xid and _name say.
#ifndef NEON_REDO_RESTORE_TARGET_H_
#define NEON_REDO_RESTORE_TARGET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpp_core/wal/commit_time.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

struct RestoreTarget {
  enum class Kind : uint8_t { kLatest, kLsn, kTime, kXid, kName };
  Kind kind = Kind::kLatest;
  Lsn lsn{};
  WalTime time = 0;
  uint32_t xid = 0;
  std::string name{};     // of a restore point
  bool inclusive = true;  // recovery_target_inclusive

  // "transaction 742", for messages.
  std::string Text() const;
  // The settings of PostgreSQL that mean the same; empty: to the end of WAL.
  std::vector<std::pair<std::string, std::string>> Settings() const;
};

// "latest", an LSN, a time (ParseWalTime), a transaction's number, or else the name of a restore point. A
// prefix "lsn:", "time:", "xid:" or "name:" says which of them is meant. kInvalidArgument: it is nothing of
// that kind.
Result<RestoreTarget> ParseRestoreTarget(std::string_view text);

// Where recovery to the target stops (recoveryStopsBefore and recoveryStopsAfter in
// access/transam/xlogrecovery.c). Not thread-safe.
class TargetSearch {
 public:
  explicit TargetSearch(RestoreTarget target) : target_(std::move(target)) {}

  // Recovery stops before this record. view, changes: of a record of Transaction; else they are not looked at.
  bool StopsBefore(const WalRecord& record, const RecordView& view, const ChangeList& changes);
  // Recovery stops after this record, which it replays. changes: of a record of Transaction or XLOG.
  bool StopsAfter(const WalRecord& record, const RecordView& view, const ChangeList& changes) const;

  // When the last transaction ended that was not stopped before.
  std::optional<WalTime> last_transaction() const { return last_transaction_; }

 private:
  bool IsXid(const RecordView& view, const ChangeList& changes) const;

  const RestoreTarget target_;
  std::optional<WalTime> last_transaction_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_TARGET_H_

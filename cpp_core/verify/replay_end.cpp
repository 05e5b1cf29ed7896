#include "cpp_core/verify/replay_end.h"

#include <fmt/format.h>

#include "cpp_core/base/try.h"
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/rmgr.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

Result<bool> ReplayEnd::StopsBefore(const WalRecord& record, RecordView* view) {
  if (LoadNative<RecordHeader>(record.bytes.data()).rmid != kRmXact) return false;
  RETURN_IF_ERROR(ParseRecord(record, view));
  const auto ended = TransactionEnd(*view);
  if (target_.StopsBefore(ended)) {
    stopped_at_ = ended;
    reached_ = true;
    return true;
  }
  if (ended) last_transaction_ = ended;
  return false;
}

std::string ReplayEnd::TargetText() const {
  return target_.lsn ? target_.lsn->ToString() : TimestampText(*target_.time);
}

Status ReplayEnd::Check(const WalReader& reader, const std::string& wal, const std::string& backup,
                        bool backup_ended) const {
  if (!target_.exists()) return {};
  const std::string refusal = fmt::format("recovery to {} is not possible", TargetText());
  if (!reached_) {
    std::string last;
    if (target_.time)
      last = last_transaction_ ? fmt::format("the last transaction in it ended at {}, and ",
                                             TimestampText(*last_transaction_))
                               : "no transaction ends in it, and ";
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("{}: the WAL in {} does not reach it: {}it ends at {} ({})", refusal, wal, last,
                    reader.end_of_wal().ToString(), reader.end_reason()));
  }
  if (backup_ended) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("{}: it would stop at {}, before the end of the backup in {}: take "
                               "an older backup, or a later target",
                               refusal, end_.ToString(), backup));
}

std::string ReplayEnd::Reason(const WalReader& reader) const {
  if (stopped_at_)
    return fmt::format("the next transaction ended at {}, after the target {}",
                       TimestampText(*stopped_at_), TargetText());
  return reached_ ? fmt::format("the target {} was reached", TargetText()) : reader.end_reason();
}

}  // namespace neon_redo

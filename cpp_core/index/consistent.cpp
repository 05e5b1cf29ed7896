#include "cpp_core/index/consistent.h"

#include "cpp_core/base/try.h"
#include "cpp_core/index/transactions.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

Result<std::optional<Lsn>> ConsistentFrom(WalIndex* index, Lsn start, Lsn consistent_at) {
  if (consistent_at.valid()) return std::optional(consistent_at);
  const PageKey key = ClusterKey(ChangeKind::kBackupEnd);
  ASSIGN_OR_RETURN(const auto ends, index->GetAll(key, start, Lsn(~uint64_t{0})));
  IndexedRecords records(*index);
  for (const IndexEntry& end : ends) {
    RETURN_IF_ERROR(records.Read(end.start));
    ASSIGN_OR_RETURN(const ChangeList* changes, records.Changes());
    for (const Change& change : *changes)
      if (change.kind == ChangeKind::kBackupEnd && Lsn(static_cast<uint64_t>(change.time)) == start)
        return std::optional(records.record().end);
  }
  return std::optional<Lsn>();
}

}  // namespace neon_redo

#include "cpp_core/index/indexed_records.h"

#include <fmt/format.h>

namespace neon_redo {

tl::unexpected<Error> IndexedRecords::Bad(Lsn start, const char* what) const {
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format(
          "the record at {} is not what the index in \"{}\" says: {}; remove that directory",
          start.ToString(), index_.directory(), what));
}

Status IndexedRecords::Read(Lsn start) {
  auto record = source_.Read(start);
  if (!record && record.error().code == ErrorCode::kNotFound)
    return Bad(start, record.error().message.c_str());
  if (!record) return tl::unexpected(record.error());
  record_ = *record;
  if (const RecordFault fault = view_.Parse(record_.bytes)) return Bad(start, fault.what);
  return {};
}

Result<const ChangeList*> IndexedRecords::Changes(Ingest* ingest) {
  if (const RecordFault fault = ingest->Take(view_, &changes_))
    return Bad(record_.start, fault.what);
  return &changes_;
}

}  // namespace neon_redo

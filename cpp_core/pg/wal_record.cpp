#include "cpp_core/pg/wal_record.h"

#include <fmt/format.h>

namespace neon_redo {

std::string RecordHeaderFaultText(RecordHeaderFault fault, const RecordHeader& header) {
  return fault == RecordHeaderFault::kResourceManager
             ? fmt::format("invalid resource manager {}", header.rmid)
             : fmt::format("wrong xl_prev {}", Lsn(header.prev_lsn).ToString());
}

}  // namespace neon_redo

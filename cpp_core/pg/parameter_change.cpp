#include "cpp_core/pg/parameter_change.h"

#include <fmt/format.h>

namespace neon_redo::pg {

Status CheckWalLevel(Bytes main, Lsn start) {
  const auto parameters = ReadParameterChange(main);
  if (!parameters)
    return MakeError(ErrorCode::kCorrupt, fmt::format("the record XLOG PARAMETER_CHANGE at {} is "
                                                      "too short",
                                                      start.ToString()));
  if (parameters->wal_level != kWalLevelMinimal) return {};
  return MakeError(ErrorCode::kUnsupported,
                   fmt::format("WAL after the record XLOG PARAMETER_CHANGE at {} was written with "
                               "wal_level=minimal and lacks changes: PostgreSQL cannot recover "
                               "over it either; take a new base backup after it",
                               start.ToString()));
}

}  // namespace neon_redo::pg

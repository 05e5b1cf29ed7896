// XLOG_PARAMETER_CHANGE: the settings that WAL depends on (xl_parameter_change in
// access/xlog_internal.h).
#ifndef NEON_REDO_PG_PARAMETER_CHANGE_H_
#define NEON_REDO_PG_PARAMETER_CHANGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "cpp_core/pg/record_layout.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo::pg {

inline constexpr int32_t kWalLevelMinimal = 0;  // WAL_LEVEL_MINIMAL

// From the front of the record's main data. Nothing: it is too short.
inline std::optional<layout::xlog::ParameterChange> ReadParameterChange(Bytes main) {
  constexpr size_t kSize = offsetof(layout::xlog::ParameterChange, track_commit_timestamp) + 1;
  layout::xlog::ParameterChange out;
  if (main.size() < kSize) return std::nullopt;
  std::memcpy(&out, main.data(), kSize);
  return out;
}

// kUnsupported: from this record on WAL is of wal_level=minimal, which leaves changes out. main: its
// main data; start: its LSN. kCorrupt: the data is too short.
Status CheckWalLevel(Bytes main, Lsn start);

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_PARAMETER_CHANGE_H_

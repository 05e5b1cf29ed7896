// The content of checkpoint records, also kept in the control file (CheckPoint in
// catalog/pg_control.h).
#ifndef NEON_REDO_PG_CHECKPOINT_H_
#define NEON_REDO_PG_CHECKPOINT_H_

#include <cstdint>
#include <optional>

#include "cpp_core/pg/version.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"

namespace neon_redo::pg {

struct CheckPoint {
  Lsn redo;
  uint32_t timeline;
  uint32_t previous_timeline;
  bool full_page_writes;
  uint64_t next_xid;  // FullTransactionId
  uint32_t next_oid;
  uint32_t next_multixact;
  uint32_t next_multixact_offset;
  uint32_t oldest_xid;
  uint32_t oldest_xid_database;
  uint32_t oldest_multixact;
  uint32_t oldest_multixact_database;
  int64_t time;  // in seconds since 1970 (pg_time_t)
  uint32_t oldest_commit_ts_xid;
  uint32_t newest_commit_ts_xid;
  uint32_t oldest_active_xid;
};

// From the front of data. Nothing: data is too short.
inline std::optional<CheckPoint> ReadCheckPoint(Bytes data, const Version& version) {
  const CheckPointLayout& at = version.checkpoint;
  if (data.size() < at.size) return std::nullopt;
  const auto word = [&](size_t offset) { return LoadNative<uint32_t>(data.data() + offset); };
  CheckPoint out;
  out.redo = Lsn(LoadNative<uint64_t>(data.data()));
  out.timeline = word(8);
  out.previous_timeline = word(12);
  out.full_page_writes = data[at.full_page_writes] != 0;
  out.next_xid = LoadNative<uint64_t>(data.data() + at.next_xid);
  out.next_oid = word(at.next_oid);
  out.next_multixact = word(at.next_multixact);
  out.next_multixact_offset = word(at.next_multixact_offset);
  out.oldest_xid = word(at.oldest_xid);
  out.oldest_xid_database = word(at.oldest_xid + 4);
  out.oldest_multixact = word(at.oldest_multixact);
  out.oldest_multixact_database = word(at.oldest_multixact + 4);
  out.time = LoadNative<int64_t>(data.data() + at.oldest_commit_ts_xid - 8);
  out.oldest_commit_ts_xid = word(at.oldest_commit_ts_xid);
  out.newest_commit_ts_xid = word(at.oldest_commit_ts_xid + 4);
  out.oldest_active_xid = word(at.oldest_active_xid);
  return out;
}

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_CHECKPOINT_H_

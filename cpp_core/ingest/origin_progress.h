// How far a replication origin has come, by one record.
#ifndef NEON_REDO_INGEST_ORIGIN_PROGRESS_H_
#define NEON_REDO_INGEST_ORIGIN_PROGRESS_H_

#include <cstdint>
#include <optional>

#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {

struct OriginProgress {
  uint16_t origin;
  bool is_dropped = false;
  bool may_go_back = false;  // else an earlier LSN than is known is left out
  Lsn remote{};              // of the other server, up to which all is here
};

// Of a commit, an abort or a PREPARE with an origin (xact_redo, PrepareRedoAdd), and of the records of
// ReplicationOrigin (replorigin_redo). Nothing: the record says nothing of an origin, or is too short.
std::optional<OriginProgress> OriginProgressOf(const RecordView& record);

}  // namespace neon_redo

#endif  // NEON_REDO_INGEST_ORIGIN_PROGRESS_H_

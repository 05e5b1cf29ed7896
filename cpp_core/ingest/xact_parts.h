// Private to cpp_core/ingest: what a commit or abort record has after its time.
#ifndef NEON_REDO_INGEST_XACT_PARTS_H_
#define NEON_REDO_INGEST_XACT_PARTS_H_

#include <cstdint>

#include "neon_redo/bytes.h"
#include "neon_redo/record.h"

namespace neon_redo {

// As far as they matter here.
struct XactParts {
  int64_t time = 0;
  int64_t origin_time = 0;
  uint64_t origin_lsn = 0;
  bool has_origin = false;
  uint32_t prepared_xid = 0;
  Bytes subxacts;
  Bytes relations;
};

// False: the record is too short.
bool ReadParts(const RecordView& record, bool commit, XactParts* parts);

}  // namespace neon_redo

#endif  // NEON_REDO_INGEST_XACT_PARTS_H_

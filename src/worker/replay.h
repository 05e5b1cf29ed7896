// The call into PostgreSQL's resource managers. Inside the engine only (engine.h is the face).
#ifndef NEON_REDO_SRC_WORKER_REPLAY_H_
#define NEON_REDO_SRC_WORKER_REPLAY_H_

#include "src/server.h"

namespace neon_redo {

// A refusal: says why and ends the worker; the CONTEXT line names the record.
#define REFUSE(...)                                                         \
  do {                                                                      \
    ereport(FATAL, (errcode(ERRCODE_DATA_CORRUPTED), errmsg(__VA_ARGS__))); \
    pg_unreachable();                                                       \
  } while (0)

// Once, after InitPages.
void InitReplay();

// The one decoded record, with room for every block reference, that Replay replays: fill it in
// (header, max_block_id, blocks, main data). The data it points to lies elsewhere.
DecodedXLogRecord* Decoded();

// The reader that shows it to redo routines; for RestoreBlockImage.
XLogReaderState* Reader();

// Runs the record's redo routine over the target page. target_id: the target's block reference.
// in_pool, have_page: see PlacePages.
void Replay(uint64_t end_lsn, int target_id, bool in_pool, bool have_page);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_REPLAY_H_

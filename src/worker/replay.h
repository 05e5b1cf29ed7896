// The call into PostgreSQL's resource managers. Part of the engine (engine.h).
#ifndef NEON_REDO_SRC_WORKER_REPLAY_H_
#define NEON_REDO_SRC_WORKER_REPLAY_H_

#include "src/server.h"

namespace neon_redo {

// Reports why a record is refused and ends the worker. The message's CONTEXT names the record.
#define REFUSE(...)                                                         \
  do {                                                                      \
    ereport(FATAL, (errcode(ERRCODE_DATA_CORRUPTED), errmsg(__VA_ARGS__))); \
    pg_unreachable();                                                       \
  } while (0)

// Call it once, after InitPages.
void InitReplay();

// The decoded record that Replay replays. It has room for every block reference. The caller fills
// in header, max_block_id, blocks and main data, and owns the data that it points to.
DecodedXLogRecord* Decoded();

// The reader through which redo routines see Decoded(); RestoreBlockImage takes it too.
XLogReaderState* Reader();

// Runs the record's redo routine on the target page. target_id: number of the block reference that
// names the target. in_pool, have_page: see PlacePages.
void Replay(uint64_t end_lsn, int target_id, bool in_pool, bool have_page);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_REPLAY_H_

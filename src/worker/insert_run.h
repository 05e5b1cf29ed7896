// Runs of heap inserts into one page, replayed together. Part of the engine (engine.h).
#ifndef NEON_REDO_SRC_WORKER_INSERT_RUN_H_
#define NEON_REDO_SRC_WORKER_INSERT_RUN_H_

#include "neon_redo/record.h"

namespace neon_redo {

// Adds the record to the run and copies its bytes. The record must be a plain insert into the
// target page, newer than the page and than the run. The target page must have content. Returns
// false if the record was not added; the caller then calls ReplayInsertRun before it changes the
// page.
bool AddToInsertRun(const RecordView& view, const BlockRef& block, uint64_t end_lsn);

// Replays the records added since the last call, if any.
void ReplayInsertRun();

// Discards the run, because its request was abandoned.
void DropInsertRun();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_INSERT_RUN_H_

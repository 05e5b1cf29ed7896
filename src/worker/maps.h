// Pages of the free space map and the visibility map that redo of a heap record reads without a block
// reference. Part of the engine (engine.h).
//
// Up to 17 such a read finds an empty file, which is a page of zeroes during recovery (OpenNothing in
// pages.cpp, the system call filter). From 18 on pages are read by asynchronous I/O. A worker has none,
// and there an empty file is an error (md_readv_complete in storage/smgr/md.c). So the pages must be in
// the pool before the routine runs.
#ifndef NEON_REDO_SRC_WORKER_MAPS_H_
#define NEON_REDO_SRC_WORKER_MAPS_H_

#include "src/server.h"

namespace neon_redo {

// Puts the map pages into the pool that redo of the record may read. target_in_pool: as in
// PlacePages. Call it when the target is where the routine finds it.
void PlaceMaps(DecodedXLogRecord* record, int target_id, bool target_in_pool);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_MAPS_H_

// Heap records that clear bits of the visibility map and name its page.
#ifndef NEON_REDO_REDO_NATIVE_CLEAR_MAP_H_
#define NEON_REDO_REDO_NATIVE_CLEAR_MAP_H_

#include "neon_redo/record.h"

namespace neon_redo {

// The block is a page of the visibility map, and the record clears bits in it. Such a page has been
// there before. Where a record sets bits the page may be new: the server extends the map with zeroes
// and without a record. block_id: of a reference that the record has. Thread-safe.
bool ClearsMap(const RecordView& record, int block_id);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_NATIVE_CLEAR_MAP_H_

// What the resource managers' files share: one record about to change one block, and the checks
// that PostgreSQL makes when a redo routine reads a block (XLogReadBufferForRedoExtended in
// access/transam/xlogutils.c). Not part of the library's public face.
#ifndef NEON_REDO_REDO_NATIVE_CHANGE_H_
#define NEON_REDO_REDO_NATIVE_CHANGE_H_

#include <cstdint>

#include "cpp_core/redo/native/page_edit.h"
#include "neon_redo/record.h"

namespace neon_redo::native {

// The block's image, if the record has one to apply, was seen to before: a routine never meets it.
struct Change {
  const RecordView& record;
  const BlockRef& block;  // of the page
  int id;                 // its number in the record
  uint8_t* page;
  uint64_t lsn;
  // The routine changed the page without a stamp: the page keeps its LSN.
  bool keep_lsn = false;
  // The routine has looked at the block's data. A record that brings an image leaves them out.
  mutable bool reads_data = false;

  uint32_t xid() const { return record.header().xid; }
  Bytes data() const {
    reads_data = true;
    return block.data;
  }
  Bytes main() const { return record.main_data(); }
  // The operation with the heap's XLOG_HEAP_INIT_PAGE and the like left in.
  uint8_t info() const { return record.info(); }
};

// Applies the change. True: the page is as redo would leave it, but for its LSN. False: malformed.
// Before it the dispatcher has made sure that a routine whose block is not will_init has a page,
// not new, older than the record.
using Routine = bool (*)(Change* change);

// The record refers to the block and says will_init exactly when the routine initialises it; an
// image to apply and will_init never go together.
inline bool BlockAgrees(const RecordView& record, int id, bool init) {
  const BlockRef* block = record.block(id);
  return block != nullptr && block->will_init == init && !(init && block->apply_image);
}
inline bool BlockAgreesIfThere(const RecordView& record, int id, bool init) {
  return record.block(id) == nullptr || BlockAgrees(record, id, init);
}

// Each resource manager: the routine for this block of this record. Null: none, or the record's
// blocks are not those that the operation has; the worker decides.
Routine FindHeapRoutine(const RecordView& record, int id);
// Of Heap and Heap2, for a block of the visibility map that loses bits.
Routine FindClearMapRoutine(const RecordView& record, int id);
Routine FindHeap2Routine(const RecordView& record, int id);
Routine FindBtreeRoutine(const RecordView& record, int id);
Routine FindSequenceRoutine(const RecordView& record, int id);
Routine FindGenericRoutine(const RecordView& record, int id);
Routine FindBrinRoutine(const RecordView& record, int id);
Routine FindHashRoutine(const RecordView& record, int id);
Routine FindGinRoutine(const RecordView& record, int id);
Routine FindGistRoutine(const RecordView& record, int id);
Routine FindSpgistRoutine(const RecordView& record, int id);

// The routine changes this block even after its image was restored (BLK_RESTORED): the image was
// taken before the change.
bool GistChangesRestoredPage(const RecordView& record, int id);

}  // namespace neon_redo::native

#endif  // NEON_REDO_REDO_NATIVE_CHANGE_H_

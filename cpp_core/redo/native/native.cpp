// A block whose image the record carries for redo is restored, whatever the resource manager, and
// that is all, but for a few GiST and hash records that change it further. Else the resource
// manager's file finds the routine for the operation and the block, once the record's references
// are those that the operation has. A page not older than the record is left alone
// (XLogReadBufferForRedoExtended), except by routines that initialise it.
#include "neon_redo/native.h"

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/redo/native/change.h"
#include "cpp_core/redo/native/insert_run.h"
#include "cpp_core/redo/native/without_image.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

namespace {

using native::Change;
using native::Routine;

namespace xlog = layout::xlog;

// The worker replays records of this kind (ChangesPagesOnly in src/worker/apply.cpp); of the others
// it restores no image either.
bool ChangesPagesOnly(uint8_t rmid, uint8_t info) {
  const uint8_t heap_operation = info & layout::kOperationMask;
  switch (rmid) {
    case kRmXlog:
      return info == xlog::kFpi || info == xlog::kFpiForHint;
    case kRmHeap:
      return heap_operation != layout::heap::kTruncate;
    case kRmHeap2:
      return heap_operation != layout::heap2::kRewrite && heap_operation != layout::heap2::kNewCid;
    case kRmBtree:
      return info != layout::btree::kReusePage;
    case kRmHash:
    case kRmGin:
    case kRmGist:
    case kRmSeq:
    case kRmSpgist:
    case kRmBrin:
    case kRmGeneric:
      return true;
    default:
      return false;
  }
}

// XLOG_FPI_FOR_HINT without an image: nothing to do (xlog_redo).
bool Nothing(Change* change) {
  change->keep_lsn = true;
  return true;
}

// Maps have no routines of their own, but the visibility map's.
bool HasRoutines(const RecordView& view, const BlockRef& block) {
  return block.tag.fork == kMainFork || block.tag.fork == kInitFork ||
         (block.tag.fork == kVisibilityMapFork &&
          (view.rmid() == kRmHeap || view.rmid() == kRmHeap2));
}

Routine FindRoutine(const RecordView& view, int id) {
  if (!HasRoutines(view, *view.block(id))) return nullptr;
  switch (view.rmid()) {
    case kRmXlog:
      return view.info() == xlog::kFpiForHint && !view.block(id)->has_image ? Nothing : nullptr;
    case kRmHeap2:
      return native::FindHeap2Routine(view, id);
    case kRmHeap:
      return native::FindHeapRoutine(view, id);
    case kRmBtree:
      return native::FindBtreeRoutine(view, id);
    case kRmHash:
      return native::FindHashRoutine(view, id);
    case kRmGin:
      return native::FindGinRoutine(view, id);
    case kRmGist:
      return native::FindGistRoutine(view, id);
    case kRmSpgist:
      return native::FindSpgistRoutine(view, id);
    case kRmSeq:
      return native::FindSequenceRoutine(view, id);
    case kRmBrin:
      return native::FindBrinRoutine(view, id);
    case kRmGeneric:
      return native::FindGenericRoutine(view, id);
    default:
      return nullptr;
  }
}

bool ImageIsAll(Change*) { return true; }

// What changes the block further, once its image is restored. Null: a worker must do it.
Routine FindRoutineAfterImage(const RecordView& view, int id) {
  if (view.rmid() == kRmHash && (view.info() == layout::hash::kSplitAllocatePage ||
                                 view.info() == layout::hash::kSplitComplete))
    return nullptr;  // seldom
  if (view.rmid() == kRmGist && native::GistChangesRestoredPage(view, id))
    return FindRoutine(view, id);
  return ImageIsAll;
}

// What redoes the block, after its image is restored if it has one to apply. Null: a worker must.
Routine FindSupported(const RecordView& view, int id) {
  const BlockRef* block = view.block(id);
  if (block == nullptr || !ChangesPagesOnly(view.rmid(), view.info()) ||
      !view.version().is_complete)
    return nullptr;
  if (!block->apply_image) return FindRoutine(view, id);
  return block->will_init ? nullptr : FindRoutineAfterImage(view, id);
}

// Only a visibility map page may be all zeroes before its first change.
bool PageSuits(const BlockRef& block, const uint8_t* page) {
  return block.tag.fork == kVisibilityMapFork || !native::IsNew(page);
}

// Redo of a record that the page has already. Before it looks at the page the server's reads the
// main data, and of a record that should have some and has none it dies.
NativeResult Skips(const RecordView& view) {
  const bool may_be_empty = view.rmid() == kRmGeneric || view.rmid() == kRmXlog;
  return view.main_data().empty() && !may_be_empty ? NativeResult::kUnsupported
                                                   : NativeResult::kApplied;
}

// The server redoes all of a record, whichever page is wanted, and of the other pages those that
// the record initialises are written for certain. What does not fit there it refuses, or dies of.
NativeResult CheckOtherPages(const RecordView& view, int block_id, Lsn end_lsn) {
  for (int id = 0; id <= view.max_block_id(); id++) {
    const BlockRef* block = view.block(id);
    if (id == block_id || block == nullptr || !block->will_init || block->apply_image) continue;
    const Routine routine = FindRoutine(view, id);
    if (routine == nullptr) return NativeResult::kUnsupported;
    alignas(8) uint8_t page[kBlockSize];
    Change change{view, *block, id, page, end_lsn.value};
    if (!routine(&change)) return NativeResult::kMalformed;
  }
  return NativeResult::kApplied;
}

// The id of the first reference to the block; without one, an id that is not in use.
int FindBlock(const RecordView& view, const BlockTag& tag) {
  int id = 0;
  while (id <= view.max_block_id() && !(view.block(id) && view.block(id)->tag == tag)) id++;
  return id;
}

}  // namespace

bool NativeSupports(const RecordView& view, const BlockTag& tag) {
  return NativeSupports(view, FindBlock(view, tag));
}

bool NativeSupports(const RecordView& view, int block_id) {
  return FindSupported(view, block_id) != nullptr;
}

NativeResult ApplyNative(const RecordView& view, int block_id, Lsn end_lsn, uint8_t* page,
                         bool have_page) {
  const Routine routine = FindSupported(view, block_id);
  if (routine == nullptr) return NativeResult::kUnsupported;
  const BlockRef& block = *view.block(block_id);
  if (view.max_block_id() > 0) {
    const NativeResult others = CheckOtherPages(view, block_id, end_lsn);
    if (others != NativeResult::kApplied) return others;
  }
  if (block.apply_image) {
    if (!RestoreImage(block, page)) return NativeResult::kMalformed;
    Change change{view, block, block_id, page, end_lsn.value};
    if (!routine(&change)) return NativeResult::kMalformed;
    if (!native::IsNew(page)) SetPageLsn(page, end_lsn);
    return NativeResult::kApplied;
  }
  if (!block.will_init) {
    if (!have_page || !PageSuits(block, page)) return NativeResult::kUnsupported;
    if (end_lsn.value <= native::PageLsn(page)) return Skips(view);
  }
  Change change{view, block, block_id, page, end_lsn.value};
  if (!routine(&change)) return NativeResult::kMalformed;
  if (!change.keep_lsn) SetPageLsn(page, end_lsn);
  return NativeResult::kApplied;
}

bool ApplyWithoutImage(const RecordView& record, int block_id, Lsn end_lsn, uint8_t* page) {
  RecordView view = record;
  view.LeaveOutImage(block_id);
  const Routine routine = FindSupported(view, block_id);
  if (routine == nullptr) return false;
  const BlockRef& block = *view.block(block_id);
  if (block.will_init || !PageSuits(block, page) || end_lsn.value <= native::PageLsn(page))
    return false;
  Change change{view, block, block_id, page, end_lsn.value};
  return routine(&change) && (block.has_data || !change.reads_data);
}

NativeRun ApplyNativeRun(const BlockTag& tag, std::span<const RedoRecord> records, uint8_t* page,
                         bool have_page, RecordView* view, NativeCounters* counters) {
  size_t i = 0;
  while (i < records.size()) {
    if (have_page && !native::IsNew(page)) {
      const size_t inserts = native::ApplyInsertRun(tag, records.subspan(i), page);
      if (counters != nullptr)
        counters->Add(kRmHeap, layout::heap::kInsert, NativeResult::kApplied, inserts);
      i += inserts;
      if (i == records.size()) break;
    }
    if (view->Parse(records[i].record)) return {i, NativeResult::kUnsupported};
    const NativeResult result =
        ApplyNative(*view, FindBlock(*view, tag), records[i].end, page, have_page);
    if (counters != nullptr) counters->Add(view->rmid(), view->info(), result);
    if (result != NativeResult::kApplied) return {i, result};
    have_page = true;
    i++;
  }
  return {records.size(), NativeResult::kApplied};
}

}  // namespace neon_redo

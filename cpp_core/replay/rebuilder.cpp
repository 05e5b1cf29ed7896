// The native engine changes a page in place and keeps no copy. So a block is in one of these
// states:
//
//   current     The page is as of the last record.
//   waiting     A record was not for the native engine. That record and all later ones of the block
//               are in the batch for the worker, over a copy of the page as it was. The answer
//               makes the block current again.
//   failed      The worker refused, or could not be asked. There is no page.
//   spoilt      Record and page did not fit, in the native engine's judgement, and the page is
//               undone. This is so rare that such blocks are rebuilt by reading the WAL once more,
//               for them alone and by a worker alone. Where the WAL cannot be read again, a copy of
//               the page as it was goes to the worker instead, and no block is ever spoilt.
//
// A record that initialises the page makes any block current. Where there is no base, a block is
// left alone until then.
//
// Some records clear bits of the visibility map without naming the map's page. That is done here,
// in between (pg/visibility_map.h). There are few map pages, so each is copied before a record is
// applied, and none is ever spoilt.
#include "cpp_core/replay/rebuilder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/redo/apply.h"
#include "cpp_core/redo/native/clear_map.h"
#include "cpp_core/replay/look_ahead.h"
#include "neon_redo/describe.h"
#include "neon_redo/native.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {
namespace {

bool IsHeapPageOfVisible(const RecordView& view, const BlockRef& ref) {
  return view.rmid() == kRmHeap2 &&
         (view.info() & layout::kOperationMask) == layout::heap2::kVisible &&
         ref.tag.fork == kMainFork;
}

// XLOG_FPI_FOR_HINT. Without an image, as written with full_page_writes = off: the server has moved
// the page's LSN, redo does nothing (xlog_redo). With one, redo moves the LSN, but the server has
// not if the page was dirty by then (MarkBufferDirtyHint): two backends may set hints at once, or
// one while the page is being written.
bool IsHint(const RecordHeader& header) {
  return header.rmid == kRmXlog && (header.info & kInfoRmgrMask) == layout::xlog::kFpiForHint;
}

// Hash records name the first page of a bucket, in block 0, only to lock it (REGBUF_NO_IMAGE). They
// do so when the page is not among those that change, so block 0 is never a page that changes.
bool IsOnlyLocked(const RecordView& view, int id) {
  namespace hash = layout::hash;
  return view.rmid() == kRmHash && id == 0 &&
         (view.info() == hash::kDelete || view.info() == hash::kMovePageContents ||
          view.info() == hash::kSqueezePage);
}

// A hash record also names the page that tuples move to, in block 1, when none moves. The server then
// leaves the page alone (_hash_freeovflpage in access/hash/hashovfl.c: it is not made dirty). Redo stamps
// it if the record has its image, and up to 16 always.
bool MovesNothing(const RecordView& view, int id) {
  namespace hash = layout::hash;
  if (view.rmid() != kRmHash || id != 1 || view.info() != hash::kSqueezePage ||
      view.main_data().size() < sizeof(hash::SqueezePage))
    return false;
  const auto squeeze = LoadNative<hash::SqueezePage>(view.main_data().data());
  return squeeze.tuples == 0 && squeeze.is_previous == 0;
}

// Of the page in the image, from before the record; at least 1. scratch: kBlockSize bytes.
Lsn LsnInImage(const BlockRef& ref, uint8_t* scratch) {
  const bool is_packed = ref.image_info & (kImagePglz | kImageLz4 | kImageZstd);
  const uint8_t* page = ref.image.data();
  if (is_packed || (ref.hole_length > 0 && ref.hole_offset < kPageHeaderSize)) {
    if (!RestoreImage(ref, scratch)) return Lsn();
    page = scratch;
  }
  return std::max(PageView(page).lsn(), Lsn(1));
}

// VACUUM makes the page dirty before it sets the all-visible bit, but not when it adds the
// all-frozen bit alone (lazy_scan_heap in access/heap/vacuumlazy.c). A page that is not dirty need
// not be written with its new LSN. Later versions may set both bits without a dirty page.
bool MakesPageDirty(const RecordView& visible) {
  const Bytes main = visible.main_data();
  return visible.version().all_visible_makes_dirty && main.size() > 4 &&
         (main[4] & kAllVisibleBit) != 0;
}

// CREATE DATABASE … STRATEGY wal_log logs every page of the template as if its free space held
// nothing (RelationCopyStorageUsingBuffer). A page of the map is all free space, so redo makes an
// empty map, while the server that wrote the WAL keeps the full one. Both are safe.
bool LosesMap(const BlockRef& ref) {
  return ref.tag.fork == kVisibilityMapFork && ref.apply_image && ref.hole_length > 0;
}

// Changes the bits of a page of the visibility map as a record does that does not name the page.
void ChangeMap(const Change& change, uint8_t* page) {
  if (change.kind == ChangeKind::kTruncateVisibility)
    return ClearVisibilityFrom(page, change.number, change.flags);
  for (const uint32_t heap_block : {change.number, change.number2})
    if (heap_block != kNoBlock) ClearVisibilityBits(page, heap_block, change.flags);
}

std::string OperationOf(const RecordView& view) {
  const char* name = OperationName(view.version(), view.rmid(), view.header().info);
  return fmt::format("{} {}", RmgrDisplayName(view.rmid()), name ? name : "(unknown)");
}

}  // namespace

Rebuilder::Rebuilder(const Options& options)
    : options_(options), pages_(options.memory, options.spill_directory), blocks_(options.memory) {}

Status Rebuilder::FindOthers(const WalRecord& record, const RecordView& view) {
  const RecordFault fault = TakeRelationChanges(view, &others_);
  if (!fault) return {};
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
}

Status Rebuilder::Take(const WalRecord& record, const RecordView& view, RedoWorker* worker) {
  RETURN_IF_ERROR(FindOthers(record, view));
  for (const Change& change : others_) {
    RETURN_IF_ERROR(TakeOther(record, change, view.rmid(), worker));
  }
  for (int id = 0; id <= view.max_block_id(); id++) {
    const BlockRef* ref = view.block(id);
    if (ref == nullptr || !IsMine(ref->tag)) continue;
    RETURN_IF_ERROR(TakeBlock(record, view, id, HashTag(ref->tag), worker));
  }
  return {};
}

Status Rebuilder::TakeAll(const RecordBatch& batch, RecordView* view, PageOrder* order,
                          RedoWorker* worker) {
  const std::span<const BlockChange> changes = batch.changes();
  size_t from = 0;
  for (size_t i = 0; i < changes.size(); i++) {
    if (changes[i].part != BlockChange::kWholeRecord) continue;
    const auto before = order->Sort(changes.subspan(from, i - from));
    RETURN_IF_ERROR(TakeInOrder(batch, before, view, worker));
    const WalRecord record = batch.record(changes[i].record);
    RETURN_IF_ERROR(ParseRecord(record, view));
    RETURN_IF_ERROR(Take(record, *view, worker));
    from = i + 1;
  }
  return TakeInOrder(batch, order->Sort(changes.subspan(from)), view, worker);
}

Status Rebuilder::TakeInOrder(const RecordBatch& batch, std::span<const BlockChange> changes,
                              RecordView* view, RedoWorker* worker) {
  LookAhead<BlockState> look_ahead(&blocks_, &pages_, batch, changes);
  for (size_t i = 0; i < changes.size(); i++) {
    look_ahead.Step(i);
    const WalRecord record = batch.record(changes[i].record);
    RETURN_IF_ERROR(ParseRecord(record, view));
    RETURN_IF_ERROR(TakeChange(record, changes[i], *view, worker));
  }
  return {};
}

Status Rebuilder::TakeChange(const WalRecord& record, const BlockChange& change,
                             const RecordView& view, RedoWorker* worker) {
  if (change.part >= 0) return TakeBlock(record, view, change.part, change.hash, worker);
  RETURN_IF_ERROR(FindOthers(record, view));
  return TakeOther(record, others_[static_cast<size_t>(-1 - change.part)], view.rmid(), worker);
}

Result<bool> Rebuilder::TakeAhead(const WalRecord& record, const RecordView& view,
                                  const BlockChange& change, RedoWorker* worker) {
  if (options_.engine == Engine::kWorker) return false;
  RETURN_IF_ERROR(TakeBlock(record, view, change.part, change.hash, worker));
  return true;
}

void Rebuilder::Cancel(BlockState* block) {
  if (block->request == BlockState::kNone) return;
  asked_[block->request] = nullptr;
  block->request = BlockState::kNone;
}

auto Rebuilder::Forgetter(Forgotten reason) {
  return [this, count = &forgotten_[static_cast<size_t>(reason)]](BlockState* block) {
    Cancel(block);
    pages_.Release(&block->page);
    ++*count;
  };
}

// A change beyond the record's own blocks.
Status Rebuilder::TakeOther(const WalRecord& record, const Change& change, uint8_t rmid,
                            RedoWorker* worker) {
  using enum ChangeKind;
  const RelFileNode rel = RelationOf(change);
  const uint8_t fork = change.key.field5;
  switch (change.kind) {
    case kCreateFork:
      if (!(change.flags & kNewRelationFile)) return {};
      // A relation's file node is used again once the old relation is gone.
      if (fork == kMainFork)
        blocks_.Drop(rel, Forgetter(Forgotten::kRelationDropped));
      else
        blocks_.Truncate(rel, fork, 0, Forgetter(Forgotten::kRelationDropped));
      return {};
    case kTruncateFork:
      if (fork != kFreeSpaceMapFork)
        blocks_.Truncate(rel, fork, change.number, Forgetter(Forgotten::kRelationTruncated));
      return {};
    case kDropRelation:
      blocks_.Drop(rel, Forgetter(Forgotten::kRelationDropped));
      return {};
    case kCopyDatabase:
      copied_databases_.insert({rel.spc, rel.db});
      [[fallthrough]];
    case kCreateDatabase:
    case kDropDatabase:
      blocks_.DropDatabase(rel.db, rel.spc, Forgetter(Forgotten::kDatabaseDropped));
      return {};
    case kClearVisibility:
    case kTruncateVisibility:
      return TakeMapChange(record, change, rmid, worker);
    default:
      return {};
  }
}

Status Rebuilder::TakeMapChange(const WalRecord& record, const Change& change, uint8_t rmid,
                                RedoWorker* worker) {
  const BlockTag tag = BlockOf(change);
  if (!IsMine(tag) || !IsWanted(tag)) return {};
  Blocks::Entry* entry = blocks_.FindOrAdd(tag);
  BlockState& block = entry->value;
  block.last_start = record.start;
  block.last_lsn = record.end;
  block.last_rmid = rmid;
  if (block.request != BlockState::kNone) {
    RETURN_IF_ERROR(Flush(worker));
  }
  // No map page, no bits to clear.
  if (!options_.base && !block.settled) return {};
  if (block.failure != 0 || !(block.page.present() || FindBase(entry))) return {};
  ChangeMap(change, pages_.Get(&block.page));
  return {};
}

// What is known of the block after a record that changes it.
inline void Rebuilder::NoteRecord(const WalRecord& record, const RecordView& view,
                                  const BlockRef& ref, BlockState* block) {
  const uint8_t rmid = view.rmid();
  block->last_start = record.start;
  block->last_lsn = record.end;
  block->last_rmid = rmid;
  if (HasMask(rmid)) block->mask_rmid = rmid;
  if (rmid == kRmXlog || rmid == kRmHeap2) [[unlikely]]
    NoteLsn(record, view, ref, block);
  else
    block->Tolerate({});
}

// Two kinds of records name a page without changing what it contains, and bring no image of it: see
// IsOnlyLocked; and without checksums or wal_log_hints, log_heap_visible (access/heap/heapam.c).
void Rebuilder::NoteUnknown(const WalRecord& record, const RecordView& view, int id) {
  const BlockRef& ref = *view.block(id);
  if (IsHeapPageOfVisible(view, ref) || IsOnlyLocked(view, id)) return;
  if (!unknown_ || record.start < unknown_->lsn) unknown_ = {ref.tag, record.start};
}

Status Rebuilder::TakeBlock(const WalRecord& record, const RecordView& view, int id, uint64_t hash,
                            RedoWorker* worker) {
  const BlockRef& ref = *view.block(id);
  if (!IsWanted(ref.tag)) return {};
  const RecordHeader& header = view.header();
  Blocks::Entry* entry = blocks_.FindOrAdd(ref.tag, hash);
  BlockState& block = entry->value;
  if (!options_.base && !block.settled && !ref.initialises()) {
    NoteUnknown(record, view, id);
    return {};
  }
  if (record.end < block.last_lsn) return Supersede(view, id, &block);
  if (ref.initialises()) {
    Restart(&block);
    block.map_is_lost = LosesMap(ref);
  }
  const bool moves_nothing = MovesNothing(view, id);
  const bool is_untouched =
      moves_nothing && !ref.has_image && !view.version().hash_squeeze_always_stamps;
  if (IsOnlyLocked(view, id) || is_untouched) {
    if (block.mask_rmid == 0) block.last_rmid = block.mask_rmid = header.rmid;
  } else if (moves_nothing) {
    const Lsn earliest = EarliestLsn(ref, block);
    NoteRecord(record, view, ref, &block);
    block.Tolerate({LsnRule::kEarlier, earliest});
  } else {
    NoteRecord(record, view, ref, &block);
  }
  if (IsHint(header) && !ref.has_image) return {};
  if (block.failure != 0 || block.spoilt) return {};
  ChangeCounts& counts = counts_.At(header.rmid, header.info);
  if (block.request != BlockState::kNone) {
    (options_.engine == Engine::kWorker ? counts.chosen : counts.behind)++;
    batch_.Add(block.request, record.end, record.bytes);
    return batch_.full() ? Flush(worker) : Status();
  }
  return Apply(record, view, id, entry, &counts, worker);
}

// That the page may have on disk, if the record does not make it dirty.
Lsn Rebuilder::EarliestLsn(const BlockRef& ref, const BlockState& block) {
  // The image tells what the server made of hints, but not what of that was written.
  const Lsn before = ref.has_image ? LsnInImage(ref, saved_) : block.last_lsn;
  return block.tolerated().Earliest(before);
}

// What LSNs the page may have after a record that changes the block.
void Rebuilder::NoteLsn(const WalRecord& record, const RecordView& view, const BlockRef& ref,
                        BlockState* block) {
  const bool visible = IsHeapPageOfVisible(view, ref);
  if (!visible && !IsHint(view.header())) return block->Tolerate({});
  if (visible && ref.initialises()) return block->Tolerate({});
  if (visible && options_.hints_logged && MakesPageDirty(view))
    return block->Tolerate({LsnRule::kMoved, record.end});
  if (!visible && ref.has_image)
    return block->Tolerate({LsnRule::kEarlier, LsnInImage(ref, saved_)});
  ToleratedLsn tolerated = block->tolerated();
  tolerated.MayMoveTo(record.end);
  block->Tolerate(tolerated);
}

// A later record has initialised the page already: see TakeAhead.
Status Rebuilder::Supersede(const RecordView& view, int id, BlockState* block) {
  if (block->mask_rmid == 0 && HasMask(view.rmid())) block->mask_rmid = view.rmid();
  ChangeCounts& counts = counts_.At(view.rmid(), view.header().info);
  (NativeSupports(view, id) ? counts.native : counts.unsupported)++;
  return {};
}

// The record initialises the page: nothing of what was before matters.
void Rebuilder::Restart(BlockState* block) {
  Cancel(block);
  block->failure = 0;
  block->settled = true;
  block->spoilt = false;
}

bool Rebuilder::FindBase(Blocks::Entry* entry) {
  BlockState& block = entry->value;
  const BlockTag& tag = entry->tag;
  if (block.settled) return false;
  block.settled = true;
  if (!options_.base || tag.block >= blocks_.BaseEnd(tag) || IsCopied(tag.rel)) return false;
  const Result<bool> found = options_.base(tag, pages_.Allocate(&block.page));
  if (found && *found) return true;
  pages_.Release(&block.page);
  if (!found) Fail(&block, {found.error().message});
  return false;
}

// Whether there is a page to change.
bool Rebuilder::FindPage(const RecordView& view, int id, Blocks::Entry* entry) {
  BlockState& block = entry->value;
  if (block.page.present() || FindBase(entry)) return true;
  if (block.failure != 0 || view.block(id)->initialises() ||
      entry->tag.fork != kVisibilityMapFork || ClearsMap(view, id))
    return false;
  // The map is extended with zeroes and without a record.
  std::memset(pages_.Allocate(&block.page), 0, kBlockSize);
  return true;
}

Status Rebuilder::Apply(const WalRecord& record, const RecordView& view, int id,
                        Blocks::Entry* entry, ChangeCounts* counts, RedoWorker* worker) {
  BlockState& block = entry->value;
  const BlockRef& ref = *view.block(id);
  const bool initialises = ref.initialises();
  const bool have_page = FindPage(view, id, entry);
  if (block.failure != 0) return {};
  uint8_t* page = nullptr;
  if (have_page)
    page = pages_.Get(&block.page);
  else if (initialises)
    page = pages_.Allocate(&block.page);
  const bool keep = ref.tag.fork == kVisibilityMapFork || options_.reads_once;
  const auto [outcome, base] = ApplyRecord(options_.engine, view, id, record.end, page, have_page,
                                           keep ? saved_ : nullptr, counts);
  switch (outcome) {
    case ApplyOutcome::kApplied:
      return {};
    case ApplyOutcome::kForWorker:
      return Ask(record, entry, base, worker);
    case ApplyOutcome::kSpoilt:
      block.spoilt = true;
      pages_.Release(&block.page);
      return {};
    case ApplyOutcome::kUnsupported:
      if (page == nullptr)
        Fail(&block, {"the base backup has no such block and no record makes it"});
      else
        NotSupported(view, &block);
      return {};
    case ApplyOutcome::kMalformed:
      Fail(&block, {fmt::format("the native engine refuses a record of the block ({}): it does not "
                                "fit the page",
                                OperationOf(view))});
      return {};
  }
  return {};
}

Status Rebuilder::Ask(const WalRecord& record, Blocks::Entry* entry, const uint8_t* base,
                      RedoWorker* worker) {
  entry->value.request = batch_.Begin(entry->tag, base);
  asked_.push_back(entry);
  batch_.Add(entry->value.request, record.end, record.bytes);
  return batch_.full() ? Flush(worker) : Status();
}

Status Rebuilder::Flush(RedoWorker* worker) {
  Status sent =
      batch_.Send(worker, [this](uint32_t request, const uint8_t* page, const Status& status) {
        if (asked_[request] == nullptr) return;
        BlockState& block = asked_[request]->value;
        block.request = BlockState::kNone;
        if (!status) return Fail(&block, {status.error().message});
        uint8_t* to = block.page.present() ? pages_.Get(&block.page) : pages_.Allocate(&block.page);
        std::memcpy(to, page, kBlockSize);
      });
  if (!sent) return sent;
  asked_.clear();
  return pages_.status();
}

void Rebuilder::Fail(BlockState* block, PageFailure why) {
  // Many blocks of a lost relation fail for one reason. With reads_once each failure is reported at
  // once, so each has its own number.
  const bool is_same = !options_.reads_once && !failures_.empty() && !why.unsupported &&
                       !failures_.back().unsupported && failures_.back().what == why.what;
  if (!is_same) failures_.push_back(std::move(why));
  block->failure = static_cast<uint32_t>(failures_.size());
  pages_.Release(&block->page);
}

void Rebuilder::NotSupported(const RecordView& view, BlockState* block) {
  uint32_t& number = unsupported_[static_cast<uint16_t>(view.rmid() << 8 | view.info())];
  if (number == 0) {
    Fail(block, {fmt::format("not supported by the native engine: {}", OperationOf(view)), true,
                 view.rmid(), view.info()});
    number = block->failure;
  }
  block->failure = number;
  pages_.Release(&block->page);
}

PageState Rebuilder::StateOf(const Blocks::Entry& entry) const {
  const BlockState& block = entry.value;
  if (block.spoilt) return PageState::kSpoilt;
  if (block.failure != 0) {
    if (failure(block.failure).unsupported) return PageState::kUnsupported;
    return IsCopied(entry.tag.rel) ? PageState::kCopiedDatabase : PageState::kFailed;
  }
  if (block.map_is_lost) return PageState::kLostMap;
  return block.page.present() ? PageState::kCurrent : PageState::kNone;
}

}  // namespace neon_redo

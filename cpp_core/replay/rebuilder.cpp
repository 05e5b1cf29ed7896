// The native engine changes a page in place and keeps no copy. So a block is in one of these
// states:
//
//   current     the page is as of the last record
//   waiting     a record was not for the native engine: it and all later ones of the block are in
//               the batch for the worker, over a copy of the page as it was; the answer makes the
//               block current again
//   failed      the worker refused, or could not be asked; there is no page
//   spoilt      record and page did not fit, in the native engine's judgement, and the page is
//               undone. Seldom enough to read the WAL once more, for these blocks alone and by the
//               worker alone (cluster.cpp). Where that cannot be, a copy of the page as it was
//               goes to the worker instead, and no block is ever spoilt
//
// A record that makes the page anew makes any block current. Where there is no base backup at all
// (its name is empty), a block is left alone until then.
//
// Visibility bits are cleared by records that do not name the map's page. That is done here, in
// between (see visibility_map.h); a map page is small change, so it is copied before a record is
// applied, and never spoilt.
#include "cpp_core/replay/rebuilder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/replay/look_ahead.h"
#include "neon_redo/describe.h"
#include "neon_redo/native.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {
namespace {

// XLOG_HEAP2_VISIBLE sets a hint in the heap page. Whether the page gets the record's LSN depends
// on checksums and wal_log_hints, of the server then and of the engine now (heap_xlog_visible).
bool MaySkipLsn(const RecordHeader& header, const BlockRef& ref) {
  return header.rmid == kRmHeap2 && (header.info & 0x70) == layout::heap2::kVisible &&
         ref.tag.fork == kMainFork;
}

// XLOG_FPI_FOR_HINT. Without an image, as written with full_page_writes = off: the server has moved
// the page's LSN, redo does nothing (xlog_redo). With one, redo moves the LSN, but the server has
// not if the page was dirty by then (MarkBufferDirtyHint): two backends may set hints at once, or
// one while the page is being written.
bool IsHint(const RecordHeader& header) {
  return header.rmid == kRmXlog && (header.info & kInfoRmgrMask) == layout::xlog::kFpiForHint;
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

// See CompareWithDisk. Nearly any other record moves the LSN. (Not of a bucket that
// XLOG_HASH_DELETE only locks: what was allowed before it is forgotten.)
Lsn HintLsn(const WalRecord& record, const RecordHeader& header, const BlockRef& ref,
            uint8_t* scratch) {
  if (MaySkipLsn(header, ref)) return record.end;
  if (!IsHint(header)) return Lsn();
  return ref.has_image ? LsnInImage(ref, scratch) : record.end;
}

// CREATE DATABASE … STRATEGY wal_log logs every page of the template as if its free space held
// nothing (RelationCopyStorageUsingBuffer), and a page of the map is all free space: redo makes an
// empty map, while the server that wrote the WAL goes on with the full one. Both are safe.
bool LosesMap(const BlockRef& ref) {
  return ref.tag.fork == kVisibilityMapFork && ref.apply_image && ref.hole_length > 0;
}

std::string OperationOf(const RecordView& view) {
  const char* name = OperationName(view.rmid(), view.header().info);
  return fmt::format("{} {}", RmgrDisplayName(view.rmid()), name ? name : "(unknown)");
}

}  // namespace

Rebuilder::Rebuilder(const Options& options)
    : options_(options),
      base_(options.base_backup, options.version),
      pages_(options.memory, options.spill_directory),
      blocks_(options.memory) {}

Status Rebuilder::ReadEvents(const WalRecord& record, const RecordView& view) {
  if (ReadStorageEvents(view, &events_)) return {};
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("WAL record at {}: its data is too short", record.start.ToString()));
}

Status Rebuilder::Take(const WalRecord& record, const RecordView& view, RedoWorker* worker) {
  RETURN_IF_ERROR(ReadEvents(record, view));
  for (const StorageEvent& event : events_) {
    RETURN_IF_ERROR(TakeEvent(event, view.rmid(), worker));
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
  RETURN_IF_ERROR(ReadEvents(record, view));
  return TakeEvent(events_[static_cast<size_t>(-1 - change.part)], view.rmid(), worker);
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

auto Rebuilder::Forgetter(const char* reason) {
  return [this, count = &forgotten_[reason]](BlockState* block) {
    Cancel(block);
    pages_.Release(&block->page);
    ++*count;
  };
}

Status Rebuilder::TakeEvent(const StorageEvent& event, uint8_t rmid, RedoWorker* worker) {
  const RelFileNode& rel = event.rel;
  switch (event.kind) {
    case StorageEvent::kCreateFork:
      // A relation's file node is used again once the old relation is gone.
      if (event.fork == kMainFork)
        blocks_.Drop(rel, Forgetter("relation dropped"));
      else
        blocks_.Truncate(rel, event.fork, 0, Forgetter("relation dropped"));
      return {};
    case StorageEvent::kTruncateFork: {
      if (event.fork != kVisibilityMapFork) {
        blocks_.Truncate(rel, event.fork, event.block, Forgetter("relation truncated"));
        return {};
      }
      const uint32_t last = MapPageOf(event.block);
      const bool is_cut = MapPageIsCut(event.block);
      blocks_.Truncate(rel, kVisibilityMapFork, last + is_cut, Forgetter("relation truncated"));
      return is_cut ? TakeClear(rel, event, rmid, worker) : Status();
    }
    case StorageEvent::kDropRelation:
      blocks_.Drop(rel, Forgetter("relation dropped"));
      return {};
    case StorageEvent::kCopyDatabase:
      copied_databases_.insert({rel.spc, rel.db});
      [[fallthrough]];
    case StorageEvent::kDropDatabase:
      blocks_.DropDatabase(rel.db, rel.spc, Forgetter("database dropped"));
      return {};
    case StorageEvent::kClearAllFrozen:
    case StorageEvent::kClearVisible:
      return TakeClear(rel, event, rmid, worker);
  }
  return {};
}

Status Rebuilder::TakeClear(const RelFileNode& rel, const StorageEvent& event, uint8_t rmid,
                            RedoWorker* worker) {
  const BlockTag tag{rel, kVisibilityMapFork, MapPageOf(event.block)};
  if (!IsMine(tag) || !IsWanted(tag)) return {};
  Blocks::Entry* entry = blocks_.FindOrAdd(tag);
  BlockState& block = entry->value;
  if (!block.last_lsn.valid()) block.last_rmid = rmid;
  if (block.request != BlockState::kNone) {
    RETURN_IF_ERROR(Flush(worker));
  }
  // No map page, no bits to clear.
  if (options_.base_backup.empty() && !block.settled) return {};
  if (block.failure != 0 || !(block.page.present() || FindBase(entry))) return {};
  uint8_t* page = pages_.Get(&block.page);
  if (event.kind == StorageEvent::kTruncateFork)
    ClearVisibilityFrom(page, event.block);
  else
    ClearVisibilityBits(
        page, event.block,
        event.kind == StorageEvent::kClearAllFrozen ? kAllFrozenBit : kAllVisibilityBits);
  return {};
}

Status Rebuilder::TakeBlock(const WalRecord& record, const RecordView& view, int id, uint64_t hash,
                            RedoWorker* worker) {
  const BlockRef& ref = *view.block(id);
  if (!IsWanted(ref.tag)) return {};
  const RecordHeader& header = view.header();
  Blocks::Entry* entry = blocks_.FindOrAdd(ref.tag, hash);
  BlockState& block = entry->value;
  if (options_.base_backup.empty() && !block.settled && !ref.initialises()) return {};
  if (record.end < block.last_lsn) return Supersede(view, id, &block);
  if (ref.initialises()) {
    Restart(&block);
    block.map_is_lost = LosesMap(ref);
  }
  block.last_start = record.start;
  block.last_lsn = record.end;
  block.last_rmid = header.rmid;
  if (HasMask(header.rmid)) block.mask_rmid = header.rmid;
  block.hint_lsn = HintLsn(record, header, ref, saved_);
  if (IsHint(header) && !ref.has_image) return {};
  if (block.failure != 0 || block.spoilt) return {};
  ChangeCounts& counts = counts_.At(header.rmid, header.info);
  if (block.request != BlockState::kNone) {
    (options_.engine == Engine::kWorker ? counts.chosen : counts.behind)++;
    batch_.Add(block.request, record.end, record.bytes);
    return batch_.full() ? Flush(worker) : Status();
  }
  return Apply(record, view, id, entry, worker);
}

// A later record has made the page anew already: see TakeAhead.
Status Rebuilder::Supersede(const RecordView& view, int id, BlockState* block) {
  if (block->mask_rmid == 0 && HasMask(view.rmid())) block->mask_rmid = view.rmid();
  ChangeCounts& counts = counts_.At(view.rmid(), view.header().info);
  (NativeSupports(view, id) ? counts.native : counts.unsupported)++;
  return {};
}

// The record makes the page anew: what was is of no interest.
void Rebuilder::Restart(BlockState* block) {
  Cancel(block);
  block->failure = 0;
  block->settled = true;
  block->unsupported = false;
  block->spoilt = false;
}

bool Rebuilder::FindBase(Blocks::Entry* entry) {
  BlockState& block = entry->value;
  const BlockTag& tag = entry->tag;
  if (block.settled) return false;
  block.settled = true;
  if (tag.block >= blocks_.BaseEnd(tag) || IsCopied(tag.rel)) return false;
  auto found = base_.Read(tag, pages_.Allocate(&block.page));
  if (found && *found == RelationFiles::Found::kPage) return true;
  pages_.Release(&block.page);
  if (!found) Fail(&block, found.error().message);
  return false;
}

// Whether there is a page to change.
bool Rebuilder::FindPage(Blocks::Entry* entry, bool initialises) {
  BlockState& block = entry->value;
  if (block.page.present() || FindBase(entry)) return true;
  if (block.failure != 0 || initialises || entry->tag.fork != kVisibilityMapFork) return false;
  // The map is extended with zeroes and without a record.
  std::memset(pages_.Allocate(&block.page), 0, kBlockSize);
  return true;
}

Status Rebuilder::Apply(const WalRecord& record, const RecordView& view, int id,
                        Blocks::Entry* entry, RedoWorker* worker) {
  BlockState& block = entry->value;
  const BlockRef& ref = *view.block(id);
  const bool initialises = ref.initialises();
  const bool have_page = FindPage(entry, initialises);
  if (block.failure != 0) return {};
  uint8_t* page = nullptr;
  if (have_page)
    page = pages_.Get(&block.page);
  else if (initialises)
    page = pages_.Allocate(&block.page);
  const uint8_t* base = initialises ? nullptr : page;
  ChangeCounts& counts = counts_.At(view.rmid(), view.header().info);
  if (options_.engine == Engine::kWorker) {
    counts.chosen++;
    return Ask(record, entry, base, worker);
  }
  const bool save = ref.tag.fork == kVisibilityMapFork || options_.reads_once;
  if (save && base != nullptr) std::memcpy(saved_, page, kBlockSize);
  const NativeResult result = page == nullptr ? NativeResult::kUnsupported
                                              : ApplyNative(view, id, record.end, page, have_page);
  if (result == NativeResult::kApplied) [[likely]] {
    counts.native++;
    return {};
  }
  const bool malformed = result == NativeResult::kMalformed;
  (malformed ? counts.malformed : counts.unsupported)++;
  if (options_.engine == Engine::kNative) {
    if (page == nullptr)
      Fail(&block, "the base backup has no such block and no record makes it");
    else if (malformed)
      Fail(&block, fmt::format("the native engine refuses a record of the block ({}): it does not "
                               "fit the page",
                               OperationOf(view)));
    else
      NotSupported(view, &block);
    return {};
  }
  if (!malformed || initialises) return Ask(record, entry, base, worker);
  if (save) return Ask(record, entry, saved_, worker);
  block.spoilt = true;
  pages_.Release(&block.page);
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
        if (!status) return Fail(&block, status.error().message);
        uint8_t* to = block.page.present() ? pages_.Get(&block.page) : pages_.Allocate(&block.page);
        std::memcpy(to, page, kBlockSize);
      });
  if (!sent) return sent;
  asked_.clear();
  return pages_.status();
}

void Rebuilder::Fail(BlockState* block, std::string why) {
  failures_.push_back(std::move(why));
  block->failure = static_cast<uint32_t>(failures_.size());
  pages_.Release(&block->page);
}

void Rebuilder::NotSupported(const RecordView& view, BlockState* block) {
  uint32_t& number = unsupported_[static_cast<uint16_t>(view.rmid() << 8 | view.info())];
  if (number == 0) {
    Fail(block, fmt::format("not supported by the native engine: {}", OperationOf(view)));
    number = block->failure;
  }
  block->failure = number;
  block->unsupported = true;
  pages_.Release(&block->page);
}

}  // namespace neon_redo

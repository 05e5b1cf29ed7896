// Layouts: catalog/storage_xlog.h, access/xact.h, commands/dbcommands_xlog.h,
// access/heapam_xlog.h. The visibility map's part follows the heap_xlog_* functions of
// access/heap/heapam.c: each clears the bits of the heap block it changes when its flags say so.
#include "cpp_core/verify/storage_events.h"

#include "cpp_core/pg/rmgr.h"

namespace neon_redo {
namespace {

using Events = std::vector<StorageEvent>;

constexpr uint8_t kSmgrCreate = 0x10;
constexpr uint8_t kSmgrTruncate = 0x20;
constexpr uint32_t kTruncateHeap = 1;
constexpr uint32_t kTruncateVisibilityMap = 2;

bool ReadSmgr(const RecordView& record, Events* events) {
  ByteReader in(record.main_data());
  RelFileNode rel;
  uint32_t fork, block, flags;
  if (record.info() == kSmgrCreate) {
    if (!in.Read(&rel) || !in.Read(&fork)) return false;
    events->push_back({StorageEvent::kCreateFork, rel, static_cast<uint8_t>(fork)});
  } else if (record.info() == kSmgrTruncate) {
    if (!in.Read(&block) || !in.Read(&rel) || !in.Read(&flags)) return false;
    if (flags & kTruncateVisibilityMap)
      events->push_back({StorageEvent::kTruncateFork, rel, kVisibilityMapFork, block});
    if (flags & kTruncateHeap)
      events->push_back({StorageEvent::kTruncateFork, rel, kMainFork, block});
  }
  return true;
}

constexpr uint8_t kXactOpMask = 0x70;
constexpr uint8_t kXactHasInfo = 0x80;
constexpr uint32_t kXinfoDatabase = 1 << 0;
constexpr uint32_t kXinfoSubxacts = 1 << 1;
constexpr uint32_t kXinfoRelations = 1 << 2;

// Commit and abort, also of prepared transactions, list the relations whose files go.
bool ReadXact(const RecordView& record, Events* events) {
  const uint8_t op = record.info() & kXactOpMask;
  const bool ends = op == 0x00 || op == 0x20 || op == 0x30 || op == 0x40;
  if (!ends || !(record.info() & kXactHasInfo)) return true;
  ByteReader in(record.main_data());
  uint32_t xinfo, count;
  if (!in.Skip(8) || !in.Read(&xinfo)) return false;
  if ((xinfo & kXinfoDatabase) && !in.Skip(8)) return false;
  if ((xinfo & kXinfoSubxacts) && (!in.Read(&count) || !in.Skip(size_t{4} * count))) return false;
  if (!(xinfo & kXinfoRelations)) return true;
  if (!in.Read(&count)) return false;
  for (uint32_t i = 0; i < count; i++) {
    RelFileNode rel;
    if (!in.Read(&rel)) return false;
    events->push_back({StorageEvent::kDropRelation, rel});
  }
  return true;
}

constexpr uint8_t kDbaseCreateFileCopy = 0x00;
constexpr uint8_t kDbaseCreateWalLog = 0x10;
constexpr uint8_t kDbaseDrop = 0x20;

bool ReadDbase(const RecordView& record, Events* events) {
  ByteReader in(record.main_data());
  uint32_t db, spc, count;
  if (!in.Read(&db)) return false;
  switch (record.info()) {
    case kDbaseCreateFileCopy:
    case kDbaseCreateWalLog: {
      if (!in.Read(&spc)) return false;
      // WAL_LOG makes every relation by records of its own, in an empty directory.
      const bool copy = record.info() == kDbaseCreateFileCopy;
      events->push_back({copy ? StorageEvent::kCopyDatabase : StorageEvent::kDropDatabase,
                         RelFileNode{spc, db, 0}});
      return true;
    }
    case kDbaseDrop:
      if (!in.Read(&count)) return false;
      for (uint32_t i = 0; i < count; i++) {
        if (!in.Read(&spc)) return false;
        events->push_back({StorageEvent::kDropDatabase, RelFileNode{spc, db, 0}});
      }
      return true;
    default:
      return true;
  }
}

constexpr uint8_t kHeapOpMask = 0x70;
constexpr uint8_t kFlagFirst = 1 << 0;   // XLH_*_ALL_VISIBLE_CLEARED, XLH_LOCK_ALL_FROZEN_CLEARED
constexpr uint8_t kFlagSecond = 1 << 1;  // XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED

bool Flags(const RecordView& record, size_t at, uint8_t* flags) {
  ByteReader in(record.main_data());
  return in.Skip(at) && in.Read(flags);
}

bool Clear(const RecordView& record, int block_id, StorageEvent::Kind kind, Events* events) {
  const BlockRef* ref = record.block(block_id);
  if (ref == nullptr) return false;
  events->push_back({kind, ref->tag.rel, kVisibilityMapFork, ref->tag.block});
  return true;
}

bool ReadHeapUpdate(const RecordView& record, Events* events) {
  uint8_t flags;
  if (!Flags(record, 7, &flags)) return false;
  // Block 1 is the old tuple's page, when that is another one.
  if ((flags & kFlagFirst) &&
      !Clear(record, record.block(1) ? 1 : 0, StorageEvent::kClearVisible, events))
    return false;
  return !(flags & kFlagSecond) || Clear(record, 0, StorageEvent::kClearVisible, events);
}

bool ClearIfFlagged(const RecordView& record, size_t flags_at, StorageEvent::Kind kind,
                    Events* events) {
  uint8_t flags;
  if (!Flags(record, flags_at, &flags)) return false;
  return !(flags & kFlagFirst) || Clear(record, 0, kind, events);
}

bool ReadHeap(const RecordView& record, Events* events) {
  switch (record.info() & kHeapOpMask) {
    case 0x00:  // XLOG_HEAP_INSERT
      return ClearIfFlagged(record, 2, StorageEvent::kClearVisible, events);
    case 0x10:  // XLOG_HEAP_DELETE
      return ClearIfFlagged(record, 7, StorageEvent::kClearVisible, events);
    case 0x20:  // XLOG_HEAP_UPDATE
    case 0x40:  // XLOG_HEAP_HOT_UPDATE
      return ReadHeapUpdate(record, events);
    case 0x60:  // XLOG_HEAP_LOCK
      return ClearIfFlagged(record, 7, StorageEvent::kClearAllFrozen, events);
    default:
      return true;
  }
}

bool ReadHeap2(const RecordView& record, Events* events) {
  switch (record.info() & kHeapOpMask) {
    case 0x50:  // XLOG_HEAP2_MULTI_INSERT
      return ClearIfFlagged(record, 0, StorageEvent::kClearVisible, events);
    case 0x60:  // XLOG_HEAP2_LOCK_UPDATED
      return ClearIfFlagged(record, 7, StorageEvent::kClearAllFrozen, events);
    default:
      return true;
  }
}

}  // namespace

bool ReadStorageEvents(const RecordView& record, std::vector<StorageEvent>* events) {
  events->clear();
  switch (record.rmid()) {
    case kRmSmgr:
      return ReadSmgr(record, events);
    case kRmXact:
      return ReadXact(record, events);
    case kRmDbase:
      return ReadDbase(record, events);
    case kRmHeap:
      return ReadHeap(record, events);
    case kRmHeap2:
      return ReadHeap2(record, events);
    default:
      return true;
  }
}

}  // namespace neon_redo

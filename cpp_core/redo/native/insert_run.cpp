// A plain insert is XLOG_HEAP_INSERT with one block reference, which names its relation, has data
// and no image, and three bytes of main data. All its fields stand at fixed places, so one record
// is told from others by comparing a few words. What goes into the page is what Insert in heap.cpp
// puts there; only pd_lower, pd_upper and the LSN are kept in registers until the run ends.
#include "cpp_core/redo/native/insert_run.h"

#include "cpp_core/redo/native/heap_tuple.h"
#include "cpp_core/wal/rmgr.h"

namespace neon_redo::native {

namespace {

// Offsets in the record.
constexpr size_t kXid = 4, kInfo = 16, kRmid = 17;
constexpr size_t kBlockHeader = 24;  // id, flags, data length
constexpr size_t kRelAndBlock = 28;
constexpr size_t kMainHeader = 44;  // XLR_BLOCK_ID_DATA_SHORT, length
constexpr size_t kData = 46;        // xl_heap_header, tuple; then xl_heap_insert
constexpr size_t kStoredHeaderSize = 5, kMainSize = 3;
constexpr size_t kSmallest = kData + kStoredHeaderSize + 1 + kMainSize;
constexpr size_t kLargest = kData + kMaxTupleSize + kMainSize;

// RelFileNode and block number as a record has them.
struct Target {
  explicit Target(const BlockTag& tag) {
    const uint32_t words[4] = {tag.rel.spc, tag.rel.db, tag.rel.rel, tag.block};
    std::memcpy(halves, words, sizeof(halves));
  }
  bool Is(const uint8_t* p) const { return Get64(p) == halves[0] && Get64(p + 8) == halves[1]; }
  uint64_t halves[2];
};

bool IsPlainInsert(Bytes record, const Target& target) {
  if (record.size() < kSmallest || record.size() > kLargest) return false;
  const uint8_t* p = record.data();
  constexpr uint32_t kIdAndFlags = 0x2000;        // block 0; main fork, BKPBLOCK_HAS_DATA
  constexpr uint16_t kShortMain = 0x03ff;         // three bytes of main data
  constexpr uint16_t kHeapInsert = kRmHeap << 8;  // no flag, XLR_* included
  return Get32(p) == record.size() && Get16(p + kInfo) == kHeapInsert &&
         Get16(p + kBlockHeader) == kIdAndFlags && Get16(p + kMainHeader) == kShortMain &&
         Get16(p + kBlockHeader + 2) == record.size() - kData - kMainSize &&
         target.Is(p + kRelAndBlock);
}

}  // namespace

size_t ApplyInsertRun(const BlockTag& tag, std::span<const RedoRecord> records, uint8_t* page) {
  static_assert(kRmid == kInfo + 1);
  if (tag.fork != kMainFork || !HeapHeaderFits(page)) return 0;
  const Target target(tag);
  uint32_t lower = Lower(page), upper = Upper(page);
  uint64_t lsn = PageLsn(page);
  size_t done = 0;
  for (const RedoRecord& record : records) {
    if (!IsPlainInsert(record.record, target)) break;
    const uint8_t* p = record.record.data();
    const uint8_t* data = p + kData;
    const uint8_t* main = p + record.record.size() - kMainSize;
    const auto length =
        static_cast<uint32_t>(record.record.size() - kData - kStoredHeaderSize - kMainSize);
    const uint32_t size = kTupleHeaderSize + length;
    // Only at the end of the line pointers; a reused one is for the slow way.
    const uint32_t number = (lower - kHeaderSize) / 4 + 1;
    const uint32_t to = upper - MaxAlign(size);
    if (record.end.value <= lsn || Get16(main) != number || number > kMaxHeapTuples ||
        lower + 4 + MaxAlign(size) > upper || size > kMaxTupleSize)
      break;
    PutLinePointer(page, number, to, kLpNormal, size);
    WriteTupleHeader(page + to, {Get16(data), Get16(data + 2), data[4]}, Get32(p + kXid), 0,
                     tag.block, static_cast<uint16_t>(number));
    CopyBytes(page + to + kTupleHeaderSize, data + kStoredHeaderSize, length);
    if (main[2] & 0x01) ClearFlags(page, kPdAllVisible);  // XLH_INSERT_ALL_VISIBLE_CLEARED
    lower += 4;
    upper = to;
    lsn = record.end.value;
    done++;
  }
  if (done == 0) return 0;
  SetLower(page, lower);
  SetUpper(page, upper);
  SetPageLsn(page, Lsn(lsn));
  return done;
}

}  // namespace neon_redo::native

// Plain code: ApplyNative, a record at a time. Test: RunsOfInsertsEqualSingleInserts in
// tests/unit/native_heap_test.cpp. Benchmark: BM_Inserts in tests/bench/fast_path_bench.cpp.
//
// A plain insert is XLOG_HEAP_INSERT with one block reference, which names its relation, has data
// and no image, and three bytes of main data. All its fields stand at fixed places, so a few words,
// combined, tell one record from others in a single branch. What goes into the page is what Insert
// in heap.cpp puts there, in words of eight bytes: the record has the tuple's last header fields
// and what follows them in the page's order. pd_lower, pd_upper and the LSN stay in registers until
// the run ends.
#include "cpp_core/redo/native/insert_run.h"

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/redo/native/heap.h"

namespace neon_redo::native {

namespace {

// Offsets in the record.
constexpr size_t kXid = 4, kInfo = 16, kRmid = 17;
constexpr size_t kBlockHeader = kRecordHeaderSize;  // id, flags, data length
constexpr size_t kData = 46;                        // xl_heap_header, tuple; then xl_heap_insert
constexpr size_t kMainSize = layout::heap::kInsertSize;
constexpr size_t kSmallest = kData + kStoredHeaderSize + 1 + kMainSize;
constexpr size_t kLargest =
    kData + kStoredHeaderSize + (kMaxTupleSize - kTupleHeaderSize) + kMainSize;

// What all plain inserts into a block have in common.
class PlainInsert {
 public:
  explicit PlainInsert(const BlockTag& tag)
      : header_(kIdAndFlags | uint64_t{tag.rel.spc} << 32),
        relation_(tag.rel.db | uint64_t{tag.rel.rel} << 32),
        block_(tag.block | uint64_t{kShortMain} << 32) {}

  // p: `size` bytes, of which at least kSmallest are there.
  bool Is(const uint8_t* p, uint64_t size) const {
    const uint64_t data_length = size - kData - kMainSize;
    const uint64_t differences =
        (Get32(p) ^ size) | static_cast<uint32_t>(Get16(p + kInfo) ^ kHeapInsert) |
        (Get64(p + kBlockHeader) ^ (header_ | data_length << 16)) |
        (Get64(p + kBlockHeader + 8) ^ relation_) |
        (Get64(p + kBlockHeader + 16) ^ block_) << 16;  // not the two bytes of data
    return differences == 0;
  }

 private:
  static constexpr uint64_t kIdAndFlags = 0x2000;        // block 0; main fork, BKPBLOCK_HAS_DATA
  static constexpr uint64_t kShortMain = 0x03ff;         // three bytes of main data
  static constexpr uint16_t kHeapInsert = kRmHeap << 8;  // no flag, XLR_* included

  const uint64_t header_, relation_, block_;
};

// The tuple's header but for its last fields, as WriteTupleHeader writes it, then the record's
// bytes from t_infomask2 on. size: of the tuple, more than its header's.
inline void WriteTuple(uint8_t* tuple, uint32_t size, const uint8_t* data, uint32_t xid,
                       uint64_t cid_and_block, uint32_t number) {
  static_assert(kCtid == 12 && kInfomask2 == 18 && kInfomask == 20 && kTupleHeaderSize == 23);
  const uint8_t* from = data - 2;  // what stands at tuple + 16, after two bytes of something else
  const size_t length = size - 16;
  if (length <= 24) {
    Put64(tuple + 16 + (length - 8) / 2, Get64(from + (length - 8) / 2));
    Put64(tuple + 16 + (length - 8), Get64(from + (length - 8)));
  } else {
    CopyBytes(tuple + 24, from + 8, length - 8);
  }
  constexpr uint64_t kReplaced = 0xffff | uint64_t{kComboCid} << 32;
  Put64(tuple, xid);
  Put64(tuple + 8, cid_and_block);
  Put64(tuple + 16, (Get64(from) & ~kReplaced) | number);
}

}  // namespace

size_t ApplyInsertRun(const BlockTag& tag, std::span<const RedoRecord> records, uint8_t* page) {
  static_assert(kRmid == kInfo + 1);
  if (tag.fork != kMainFork || !HeapHeaderFits(page)) return 0;
  const PlainInsert insert(tag);
  const uint64_t cid_and_block = uint64_t{tag.block >> 16} << 32 | uint64_t{tag.block} << 48;
  uint32_t lower = Lower(page), upper = Upper(page);
  uint64_t lsn = PageLsn(page);
  uint32_t number = MaxOffset(page) + 1;
  uint32_t flags = 0;
  size_t done = 0;
  for (const RedoRecord& record : records) {
    const size_t record_size = record.record.size();
    const uint8_t* p = record.record.data();
    if (record_size < kSmallest || record_size > kLargest || !insert.Is(p, record_size)) break;
    const uint32_t main = Get32(p + record_size - kMainSize - 1) >> 8;  // offset number, flags
    const auto size = static_cast<uint32_t>(record_size - kData - kStoredHeaderSize - kMainSize +
                                            kTupleHeaderSize);
    const uint32_t to = upper - MaxAlign(size);
    // Only at the end of the line pointers; a reused one is for the slow way.
    if (record.end.value <= lsn || (main & 0xffff) != number || number > kMaxHeapTuples ||
        lower + 4 + MaxAlign(size) > upper)
      break;
    PutLinePointer(page, number, to, kLpNormal, size);
    WriteTuple(page + to, size, p + kData, Get32(p + kXid), cid_and_block, number);
    flags |= main >> 16;
    number++;
    lower += 4;
    upper = to;
    lsn = record.end.value;
    done++;
  }
  if (done == 0) return 0;
  if (flags & layout::heap::kAllVisibleCleared) ClearFlags(page, kPdAllVisible);
  SetLower(page, lower);
  SetUpper(page, upper);
  SetPageLsn(page, Lsn(lsn));
  return done;
}

}  // namespace neon_redo::native

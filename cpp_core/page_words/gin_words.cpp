// Pages of GIN indexes: entries with posting lists, posting trees, the pending list.
#include <fmt/format.h>

#include "cpp_core/page_words/page_scan.h"
#include "cpp_core/pg/index_tuple.h"

namespace neon_redo {

namespace {

namespace gin = pg::gin;

// The addresses of a segment, as ginPostingListDecodeAllSegments: each after the first is the distance from
// the one before, in 7 bits of a byte. False: the bytes do not end with a number.
bool DecodeSegment(const PageScan& scan, size_t at, std::vector<std::string>* tids) {
  const uint32_t first_offset = scan.Get16(at + 4);
  uint64_t tid = uint64_t{pg::GetBlockNumber(scan.At(at))} << gin::kOffsetBits | first_offset;
  const uint8_t* p = scan.At(at + gin::kSegmentHeaderSize);
  const uint8_t* end = p + scan.Get16(at + 6);
  const auto add = [&] {
    tids->push_back(TidText(static_cast<uint32_t>(tid >> gin::kOffsetBits),
                            static_cast<uint32_t>(tid & ((1u << gin::kOffsetBits) - 1))));
  };
  add();
  while (p < end) {
    uint64_t delta = 0;
    uint32_t bytes = 0;
    for (bool more = true; more; bytes++) {
      if (p == end || bytes == gin::kMostVarbytes) return false;
      delta |= uint64_t{static_cast<uint8_t>(*p & 0x7f)} << 7 * bytes;
      more = (*p++ & 0x80) != 0;
    }
    tid += delta;
    add();
  }
  return true;
}

// The fields of a segment that may take the bytes up to `end`. Its length, with what makes it even; 0: it is
// none.
uint32_t AddSegment(PageScan* scan, size_t at, size_t end) {
  if (at + gin::kSegmentHeaderSize > end) return 0;
  const uint32_t bytes = scan->Get16(at + 6);
  const uint32_t length = gin::kSegmentHeaderSize + (bytes + 1) / 2 * 2;
  if (at + length > end) return 0;
  scan->AddTid("first_tid", at);
  scan->AddNumber("nbytes", bytes, at + 6, 2);
  std::vector<std::string> tids;
  if (!DecodeSegment(*scan, at, &tids)) scan->Note("its last address is cut off");
  scan->Add("tids", std::move(tids), at + gin::kSegmentHeaderSize, bytes);
  return length;
}

// Leaves of a posting tree: segments up to pd_lower.
void AddSegments(PageScan* scan) {
  scan->Begin("posting tree", {}, PagePart::kFront);
  scan->AddTid("right_bound", kPageHeaderSize);
  const size_t end = scan->view().lower();
  uint32_t number = 1;
  for (size_t at = kPageHeaderSize + gin::kRightBoundSize; at < end; number++) {
    scan->Begin("segment", number);
    const uint32_t length = AddSegment(scan, at, end);
    if (length == 0) return scan->Note("it does not fit the page");
    at += length;
  }
}

// Other pages of a posting tree: a child and the greatest address in it.
void AddPostingItems(PageScan* scan, uint32_t count) {
  scan->Begin("posting tree", {}, PagePart::kFront);
  scan->AddTid("right_bound", kPageHeaderSize);
  for (uint32_t i = 0; i < count; i++) {
    const size_t at = kPageHeaderSize + gin::kRightBoundSize + size_t{i} * gin::kPostingItemSize;
    if (at + gin::kPostingItemSize > scan->view().special()) return;
    scan->Begin("posting item", i + 1);
    scan->AddNumber("child", pg::GetBlockNumber(scan->At(at)), at, 4);
    scan->AddTid("key", at + gin::kPostingItemKeyAt);
  }
}

// What is in t_tid of an entry on a leaf: an inline posting list, or the root of a posting tree.
void AddEntryTids(PageScan* scan, const Item& item, uint32_t data, uint32_t end) {
  const uint32_t block = pg::GetBlockNumber(scan->At(item.at));
  const uint32_t count = scan->Get16(item.at + 4);
  if (count == gin::kPostingTree) {
    scan->AddNumber("posting_tree", block, item.at, 4);
    return scan->AddBytes("data", data, end - data);
  }
  scan->AddNumber("nitems", count, item.at + 4, 2);
  const uint32_t offset = block & ~gin::kCompressedTuple;
  if (offset < data - item.at || offset > end - item.at) {
    scan->Note("its posting list cannot be");
    return scan->AddBytes("data", data, end - data);
  }
  scan->AddBytes("data", data, item.at + offset - data);
  if (count == 0) return;
  if (!(block & gin::kCompressedTuple)) {
    if (count * pg::kItemPointerSize <= end - item.at - offset)
      scan->AddTids("tids", item.at + offset, count);
  } else if (AddSegment(scan, item.at + offset, end) == 0) {
    scan->Note("its posting list cannot be");
  }
}

void AddGinItem(PageScan* scan, const Item& item, uint16_t flags) {
  const auto data = BeginIndexTuple(scan, item);
  if (!data) return;
  if ((flags & gin::kLeaf) && !(flags & gin::kList))
    return AddEntryTids(scan, item, data->begin, data->end);
  if (!(flags & gin::kList))
    scan->AddNumber("child", pg::GetBlockNumber(scan->At(item.at)), item.at, 4);
  scan->AddBytes("data", data->begin, data->end - data->begin);
}

}  // namespace

void AddGin(PageScan* scan) {
  const uint32_t at = scan->view().special();
  const uint16_t flags = scan->Get16(at + gin::kFlags);
  if (flags & gin::kMeta) {
    scan->AddMeta(pg::kGinMeta);
  } else if (flags & gin::kDeleted) {
    // The transaction after which it may be used again (GinPageSetDeleteXid).
    scan->Begin("deleted page", {}, PagePart::kFront);
    scan->Add32("delete_xid", kPagePruneXidAt);
  } else if ((flags & gin::kData) && (flags & gin::kLeaf)) {
    if (flags & gin::kCompressed) AddSegments(scan);
  } else if (flags & gin::kData) {
    AddPostingItems(scan, scan->Get16(at + gin::kMaxOffset));
  } else {
    scan->ForEachItem([&](const Item& item) { AddGinItem(scan, item, flags); });
  }
  scan->Begin("special area", {}, PagePart::kBack);
  scan->AddBlock("rightlink", at + gin::kRightLink);
  scan->Add16("maxoff", at + gin::kMaxOffset);
  scan->AddFlags("flags", at + gin::kFlags, pg::kGinFlagNames);
}

}  // namespace neon_redo

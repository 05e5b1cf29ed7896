// Pages of B-tree indexes, and what tuples of all indexes have in common. As bt_page_items and
// bt_metap (contrib/pageinspect/btreefuncs.c) show them.
#include <fmt/format.h>

#include "cpp_core/page_words/page_scan.h"
#include "cpp_core/pg/index_tuple.h"

namespace neon_redo {

std::optional<IndexData> BeginIndexTuple(PageScan* scan, const Item& item) {
  scan->Begin("item", item.number);
  const uint8_t* tuple = scan->At(item.at);
  const bool has_header = item.length >= pg::kIndexTupleHeaderSize;
  const uint16_t info = has_header ? pg::TupleInfo(tuple) : uint16_t{0};
  const uint32_t size = info & pg::kIndexSizeMask, data = pg::IndexDataOffset(info);
  if (!has_header || size > item.length || size < data) {
    scan->Note("it is no index tuple");
    return std::nullopt;
  }
  const size_t info_at = item.at + pg::kIndexTupleInfoAt;
  scan->AddTid("ctid", item.at);
  scan->AddNumber("itemlen", size, info_at, 2);
  scan->Add("nulls", (info & pg::kIndexHasNulls) != 0, info_at, 2);
  scan->Add("vars", (info & pg::kIndexHasVarwidths) != 0, info_at, 2);
  if (info & pg::kIndexHasNulls)
    scan->AddBytes("null_bitmap", item.at + pg::kIndexTupleHeaderSize,
                   data - pg::kIndexTupleHeaderSize);
  return IndexData{item.at + data, item.at + size};
}

namespace {

namespace bt = pg::btree;

struct BtreeTuple {
  uint32_t data, end;  // of the key
};

// A posting list: where it begins is in the block number, how many there are in the offset number.
bool AddPosting(PageScan* scan, const Item& item, BtreeTuple* tuple) {
  const uint32_t offset = pg::GetBlockNumber(scan->At(item.at));
  const uint32_t count = scan->Get16(item.at + 4) & pg::kBtreeCountMask;
  const uint32_t size = tuple->end - item.at;
  if (offset > size || offset < tuple->data - item.at ||
      count * pg::kItemPointerSize > size - offset)
    return false;
  scan->AddTids("tids", item.at + offset, count);
  tuple->end = item.at + offset;
  return true;
}

// A pivot tuple: a child's block, how many columns it has, and perhaps a heap address at its end.
bool AddPivot(PageScan* scan, const Item& item, BtreeTuple* tuple) {
  const uint16_t bits = scan->Get16(item.at + 4);
  scan->AddNumber("downlink", pg::GetBlockNumber(scan->At(item.at)), item.at, 4);
  scan->AddNumber("natts", bits & pg::kBtreeCountMask, item.at + 4, 2);
  if (!(bits & pg::kBtreePivotHasTid)) return true;
  if (tuple->end - tuple->data < pg::kBtreePivotTidSize) return false;
  // The address stands at the very end (BTreeTupleGetHeapTID).
  scan->AddTid("htid", tuple->end - pg::kItemPointerSize);
  tuple->end -= pg::kBtreePivotTidSize;
  return true;
}

void AddBtreeItem(PageScan* scan, const Item& item) {
  const auto data = BeginIndexTuple(scan, item);
  if (!data) return;
  scan->Add("dead", item.is_dead, pg::LinePointerOffset(item.number), 0);
  const uint16_t info = pg::TupleInfo(scan->At(item.at));
  BtreeTuple tuple{data->begin, data->end};
  if (info & pg::kIndexAltTid) {
    const bool is_posting = scan->Get16(item.at + 4) & pg::kBtreeIsPosting;
    if (!(is_posting ? AddPosting(scan, item, &tuple) : AddPivot(scan, item, &tuple)))
      scan->Note(is_posting ? "its posting list cannot be" : "its heap address cannot be");
  }
  scan->AddBytes("data", tuple.data, tuple.end - tuple.data);
}

void AddBtreeArea(PageScan* scan) {
  const uint32_t at = scan->view().special();
  scan->Begin("special area", {}, PagePart::kBack);
  // P_NONE is 0.
  scan->Add32("btpo_prev", at + bt::kPrev);
  scan->Add32("btpo_next", at + bt::kNext);
  scan->Add32("btpo_level", at + bt::kLevel);
  scan->AddFlags("btpo_flags", at + bt::kFlags, pg::kBtreeFlagNames);
  scan->Add16("btpo_cycleid", at + bt::kCycleId);
}

// HashMetaPageData's arrays, up to their last entry that is not 0.
void AddArray(PageScan* scan, const char* name, size_t at, uint32_t size) {
  while (size > 0 && scan->Get32(at + 4 * (size - 1)) == 0) size--;
  std::vector<std::string> words;
  for (uint32_t i = 0; i < size; i++) words.push_back(fmt::format("{}", scan->Get32(at + 4 * i)));
  scan->Add(name, std::move(words), at, 4 * size_t{size});
}

// A bit for each overflow page, in words up to pd_lower (_hash_initbitmapbuffer).
void AddHashBitmap(PageScan* scan) {
  const uint32_t bits = (scan->view().lower() - kPageHeaderSize) / 4 * 32;
  for (uint32_t i = 0; i < bits; i++) {
    const size_t at = kPageHeaderSize + i / 32 * 4;
    if (!(scan->Get32(at) >> i % 32 & 1)) continue;
    scan->Begin("bit", i).merges = true;
    scan->Add("used", true, at, 4);
  }
}

void AddHashItem(PageScan* scan, const Item& item) {
  const auto data = BeginIndexTuple(scan, item);
  if (!data) return;
  if (data->end - data->begin < 4) return scan->Note("it has no hash code");
  scan->Add32("data", data->begin);
  scan->AddBytes("more", data->begin + 4, data->end - data->begin - 4);
}

}  // namespace

void AddBtree(PageScan* scan) {
  const uint16_t flags = scan->Get16(scan->view().special() + bt::kFlags);
  if (flags & bt::kMeta) {
    scan->AddMeta(pg::kBtreeMeta);
  } else if ((flags & bt::kDeleted) && (flags & bt::kHasFullXid)) {
    scan->Begin("deleted page", {}, PagePart::kFront);  // BTDeletedPageData
    scan->AddNumber("safexid", static_cast<int64_t>(pg::Get64(scan->At(kPageHeaderSize))),
                    kPageHeaderSize, 8);
  } else {
    scan->ForEachItem([&](const Item& item) { AddBtreeItem(scan, item); });
  }
  AddBtreeArea(scan);
}

void AddHash(PageScan* scan) {
  namespace hash = pg::hash;
  const uint32_t at = scan->view().special();
  const uint16_t flags = scan->Get16(at + hash::kFlags);
  if (flags & hash::kMetaPage) {
    scan->AddMeta(pg::kHashMeta);
    AddArray(scan, "spares", kPageHeaderSize + hash::kMetaSparesAt, hash::kMetaSpares);
    AddArray(scan, "mapp", kPageHeaderSize + hash::kMetaMapsAt, hash::kMetaMaps);
  } else if (flags & hash::kBitmapPage) {
    AddHashBitmap(scan);
  } else {
    scan->ForEachItem([&](const Item& item) { AddHashItem(scan, item); });
  }
  scan->Begin("special area", {}, PagePart::kBack);
  scan->AddBlock("hasho_prevblkno", at + hash::kPrev);
  scan->AddBlock("hasho_nextblkno", at + hash::kNext);
  scan->AddBlock("hasho_bucket", at + hash::kBucket);
  scan->AddFlags("hasho_flag", at + hash::kFlags, pg::kHashFlagNames);
  scan->Add("hasho_page_id", fmt::format("{:04X}", scan->Get16(at + hash::kPageIdField)),
            at + hash::kPageIdField, 2);
}

}  // namespace neon_redo

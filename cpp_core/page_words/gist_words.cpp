// Pages of GiST, SP-GiST and BRIN indexes.
#include <fmt/format.h>

#include "cpp_core/page_words/page_scan.h"
#include "cpp_core/pg/index_tuple.h"

namespace neon_redo {

namespace {

std::string PageIdText(uint16_t id) { return fmt::format("{:04X}", id); }

void AddGistItem(PageScan* scan, const Item& item) {
  const auto data = BeginIndexTuple(scan, item);
  if (!data) return;
  scan->Add("dead", item.is_dead, pg::LinePointerOffset(item.number), 0);
  scan->AddBytes("key_data", data->begin, data->end - data->begin);
}

namespace sp = pg::spgist;

// The states but "live" have another layout.
void AddSpgistDead(PageScan* scan, const Item& item, uint32_t state) {
  if (state == 1) scan->AddTid("pointer", item.at + sp::kLeafTidAt);
  if (state == 1) scan->Add32("xid", item.at + sp::kDeadXidAt);
}

void AddSpgistLeaf(PageScan* scan, const Item& item) {
  const uint16_t info = scan->Get16(item.at + sp::kLeafInfoAt);
  scan->AddNumber("next", info & sp::kNextOffsetMask, item.at + sp::kLeafInfoAt, 2);
  scan->Add("nulls", (info & sp::kLeafHasNulls) != 0, item.at + sp::kLeafInfoAt, 2);
  scan->AddTid("ctid", item.at + sp::kLeafTidAt);
  // A bitmap of nulls is among them.
  const uint32_t data = item.at + sp::kLeafTidAt + pg::kItemPointerSize;
  scan->AddBytes("data", data, item.end() - data);
}

// The nodes, each with its child and its label.
void AddNodes(PageScan* scan, const Item& item, uint32_t at, uint32_t count) {
  std::vector<std::string> nodes;
  const uint32_t first = at;
  for (uint32_t i = 0; i < count; i++) {
    const Item node{.number = i, .at = at, .length = item.end() - at};
    if (at + pg::kIndexTupleHeaderSize > item.end() ||
        pg::TupleSize(scan->At(at)) < pg::kIndexTupleHeaderSize ||
        pg::TupleSize(scan->At(at)) > node.length)
      return scan->Note("its nodes cannot be");
    const uint32_t size = pg::TupleSize(scan->At(at));
    nodes.push_back(TidText(pg::GetBlockNumber(scan->At(at)), scan->Get16(at + 4)));
    if (size > pg::kIndexTupleHeaderSize) {
      nodes.back() += " \\x";
      for (uint32_t b = at + pg::kIndexTupleHeaderSize; b < at + size; b++)
        nodes.back() += fmt::format("{:02x}", *scan->At(b));
    }
    at += size;
  }
  scan->Add("nodes", std::move(nodes), first, at - first);
}

void AddSpgistInner(PageScan* scan, const Item& item) {
  const uint32_t head = scan->Get32(item.at);
  const uint32_t prefix = head >> 16;
  const uint32_t nodes = head >> 3 & 0x1fff;
  scan->Add("all_the_same", (head >> 2 & 1) != 0, item.at, 4);
  scan->AddNumber("nnodes", nodes, item.at, 4);
  scan->AddNumber("prefix_size", prefix, item.at, 4);
  scan->Add16("size", item.at + sp::kInnerSizeAt);
  const uint32_t at = item.at + sp::kInnerHeaderSize;
  if (at + prefix > item.end()) return scan->Note("its prefix cannot be");
  scan->AddBytes("prefix", at, prefix);
  AddNodes(scan, item, at + prefix, nodes);
}

void AddSpgistItem(PageScan* scan, const Item& item, bool is_leaf) {
  scan->Begin("item", item.number);
  if (item.length < sp::kLeafHeaderSize) return scan->Note("it is too short");
  const uint32_t head = scan->Get32(item.at);
  scan->Add("tupstate", sp::kTupleStates[head & 3], item.at, 4);
  if (is_leaf || (head & 3) != 0) scan->AddNumber("size", head >> 2, item.at, 4);
  if ((head & 3) != 0) return AddSpgistDead(scan, item, head & 3);
  is_leaf ? AddSpgistLeaf(scan, item) : AddSpgistInner(scan, item);
}

void AddSpgistMeta(PageScan* scan) {
  scan->Begin("metapage", {}, PagePart::kFront);
  scan->Add("magic", fmt::format("{:X}", scan->Get32(kPageHeaderSize)), kPageHeaderSize, 4);
  std::vector<std::string> pages;
  const size_t first = kPageHeaderSize + sp::kLastUsedPagesAt;
  for (uint32_t i = 0; i < sp::kCachedPages; i++)
    pages.push_back(
        TidText(scan->Get32(first + 8 * size_t{i}), scan->Get32(first + 8 * size_t{i} + 4)));
  scan->Add("last_used_pages", std::move(pages), first, sp::kLastUsedPagesSize);
}

namespace br = pg::brin;

void AddBrinItem(PageScan* scan, const Item& item) {
  scan->Begin("item", item.number);
  if (item.length < br::kTupleHeaderSize) return scan->Note("it is too short");
  const size_t info_at = item.at + br::kTupleInfoAt;
  const uint8_t info = *scan->At(info_at);
  const uint32_t offset = info & br::kDataOffsetMask;
  scan->Add32("blknum", item.at);
  scan->Add("hasnulls", (info & br::kTupleHasNulls) != 0, info_at, 1);
  scan->Add("placeholder", (info & br::kPlaceholder) != 0, info_at, 1);
  scan->Add("empty", (info & br::kEmptyRange) != 0, info_at, 1);
  scan->AddNumber("data_offset", offset, info_at, 1);
  if (offset < br::kTupleHeaderSize || offset > item.length)
    return scan->Note("the offset of its data cannot be");
  if (info & br::kTupleHasNulls)
    scan->AddBytes("null_bitmap", item.at + br::kTupleHeaderSize, offset - br::kTupleHeaderSize);
  scan->AddBytes("data", item.at + offset, item.length - offset);
}

void AddRevmap(PageScan* scan) {
  for (uint32_t i = 0; i < br::kRevmapItems; i++) {
    const size_t at = kPageHeaderSize + size_t{i} * pg::kItemPointerSize;
    if (scan->Get16(at + 4) == 0) continue;  // no valid address
    scan->Begin("range", i);
    scan->AddTid("pages", at);
  }
}

}  // namespace

void AddGist(PageScan* scan) {
  namespace gist = pg::gist;
  const uint32_t at = scan->view().special();
  const uint16_t flags = scan->Get16(at + gist::kFlags);
  if (flags & gist::kDeleted) {
    scan->Begin("deleted page", {}, PagePart::kFront);  // GISTDeletedPageContents
    scan->AddNumber("delete_xid", static_cast<int64_t>(pg::Get64(scan->At(kPageHeaderSize))),
                    kPageHeaderSize, 8);
  } else {
    scan->ForEachItem([&](const Item& item) { AddGistItem(scan, item); });
  }
  scan->Begin("special area", {}, PagePart::kBack);
  // PageXLogRecPtr: two halves, the high one first.
  const uint64_t nsn =
      uint64_t{scan->Get32(at + gist::kNsn)} << 32 | scan->Get32(at + gist::kNsn + 4);
  scan->Add("nsn", Lsn(nsn).ToString(), at + gist::kNsn, 8);
  scan->AddBlock("rightlink", at + gist::kRightLink);
  scan->AddFlags("flags", at + gist::kFlags, pg::kGistFlagNames);
  scan->Add("gist_page_id", PageIdText(scan->Get16(at + gist::kPageIdField)),
            at + gist::kPageIdField, 2);
}

void AddSpgist(PageScan* scan) {
  const uint32_t at = scan->view().special();
  const uint16_t flags = scan->Get16(at + sp::kFlags);
  if (flags & sp::kMeta) {
    AddSpgistMeta(scan);
  } else {
    scan->ForEachItem(
        [&](const Item& item) { AddSpgistItem(scan, item, (flags & sp::kLeafPage) != 0); });
  }
  scan->Begin("special area", {}, PagePart::kBack);
  scan->AddFlags("flags", at + sp::kFlags, pg::kSpgistFlagNames);
  scan->Add16("nredirection", at + sp::kRedirections);
  scan->Add16("nplaceholder", at + sp::kPlaceholders);
  scan->Add("spgist_page_id", PageIdText(scan->Get16(at + sp::kPageIdField)), at + sp::kPageIdField,
            2);
}

void AddBrin(PageScan* scan) {
  const uint32_t at = scan->view().special();
  const uint16_t type = scan->Get16(at + br::kType);
  if (type == br::kMetaPage) {
    scan->AddMeta(pg::kBrinMeta);
  } else if (type == br::kRevmapPage) {
    AddRevmap(scan);
  } else {
    scan->ForEachItem([&](const Item& item) { AddBrinItem(scan, item); });
  }
  scan->Begin("special area", {}, PagePart::kBack);
  scan->AddFlags("flags", at + br::kFlags, pg::kBrinFlagNames);
  scan->Add("type",
            type == br::kMetaPage     ? "meta"
            : type == br::kRevmapPage ? "revmap"
                                      : "regular",
            at + br::kType, 2);
}

}  // namespace neon_redo

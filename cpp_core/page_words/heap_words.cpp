// Tuples of heaps and sequences, and the visibility map.
#include <fmt/format.h>

#include "cpp_core/page_words/page_scan.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/visibility_map.h"

namespace neon_redo {

namespace {

namespace t = pg::tuple;

// The command, what it stands for, or the transaction of an old VACUUM FULL, in one place of the tuple.
const char* CidName(uint16_t infomask) {
  return infomask & t::kMoved ? "t_xvac" : infomask & t::kComboCid ? "t_cid (combo)" : "t_cid";
}

// As heap_page_items: a character for each column, the first one first.
void AddNulls(PageScan* scan, size_t at, uint32_t columns) {
  std::string bits;
  for (uint32_t i = 0; i < (columns + 7) / 8 * 8; i++)
    bits += *scan->At(at + i / 8) >> i % 8 & 1 ? '1' : '0';
  const size_t bytes = bits.size() / 8;
  scan->Add("t_bits", std::move(bits), at, bytes);
}

// Where its data begin; nothing: the header says what cannot be.
std::optional<uint32_t> AddTupleHeader(PageScan* scan, const Item& item) {
  scan->Begin("tuple", item.number);
  if (item.length < t::kTupleHeaderSize) {
    scan->Note("it is shorter than a tuple's header");
    return {};
  }
  const uint16_t infomask2 = scan->Get16(item.at + t::kInfomask2);
  const uint16_t infomask = scan->Get16(item.at + t::kInfomask);
  scan->Add32("t_xmin", item.at + t::kXmin);
  scan->Add32("t_xmax", item.at + t::kXmax);
  scan->Add32(CidName(infomask), item.at + t::kCid);
  scan->AddTid("t_ctid", item.at + t::kCtid);
  const uint32_t columns = infomask2 & t::kNattsMask;
  scan->AddFlags("t_infomask2", item.at + t::kInfomask2, pg::kInfomask2Names);
  scan->AddNumber("natts", columns, item.at + t::kInfomask2, 0);
  scan->AddFlags("t_infomask", item.at + t::kInfomask, pg::kInfomaskNames);
  if (auto combined = NamesOf(infomask, pg::kCombinedInfomaskNames); !combined.empty())
    scan->Add("combined_flags", std::move(combined), item.at + t::kInfomask, 0);
  const uint32_t hoff = *scan->At(item.at + t::kHoff);
  scan->AddNumber("t_hoff", hoff, item.at + t::kHoff, 1);
  const uint32_t nulls = infomask & t::kHasNull ? (columns + 7) / 8 : 0;
  if (hoff < t::kTupleHeaderSize + nulls || hoff > item.length) {
    scan->Note("its t_hoff cannot be");
    return {};
  }
  if (nulls > 0) AddNulls(scan, item.at + t::kTupleHeaderSize, columns);
  return item.at + hoff;
}

}  // namespace

void AddHeapTuples(PageScan* scan) {
  scan->ForEachItem([&](const Item& item) {
    if (const auto data = AddTupleHeader(scan, item))
      scan->AddBytes("t_data", *data, item.end() - *data);
  });
}

void AddSequence(PageScan* scan) {
  scan->ForEachItem([&](const Item& item) {
    const auto data = AddTupleHeader(scan, item);
    if (!data) return;
    if (item.end() - *data < pg::sequence::kTupleDataSize)
      return scan->AddBytes("t_data", *data, item.end() - *data);
    const auto number = [&](size_t at) { return static_cast<int64_t>(pg::Get64(scan->At(at))); };
    const size_t called = *data + pg::sequence::kIsCalledAt;
    scan->AddNumber("last_value", number(*data), *data, 8);
    scan->AddNumber("log_cnt", number(*data + pg::sequence::kLogCountAt),
                    *data + pg::sequence::kLogCountAt, 8);
    scan->Add("is_called", *scan->At(called) != 0, called, 1);
  });
  const uint32_t special = scan->view().special();
  scan->Begin("special area", {}, PagePart::kBack);
  scan->Add("magic", fmt::format("{:X}", scan->Get32(special)), special, 4);
}

void AddVisibilityMap(PageScan* scan, uint32_t block) {
  for (uint32_t i = 0; i < kHeapBlocksOnMapPage; i++) {
    const uint8_t bits = VisibilityBits(scan->page(), i);
    if (bits == 0) continue;
    const size_t at = kPageHeaderSize + MapByteOf(i);
    scan->Begin("heap block", block * kHeapBlocksOnMapPage + i).merges = true;
    scan->Add("all_visible", (bits & kAllVisibleBit) != 0, at, 1);
    scan->Add("all_frozen", (bits & kAllFrozenBit) != 0, at, 1);
  }
}

}  // namespace neon_redo

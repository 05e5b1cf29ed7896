// What each page has: its header. The rest is by what the special area says that the page is of.
#include "cpp_core/page_words/page_words.h"

#include <fmt/format.h>

#include "cpp_core/page_words/page_scan.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

constexpr uint32_t kNoBlock = 0xffffffff;  // InvalidBlockNumber

void AddHeader(PageScan* scan) {
  const PageView& view = scan->view();
  scan->Begin("header", {}, PagePart::kFront);
  scan->Add("pd_lsn", view.lsn().ToString(), 0, 8);
  scan->Add("pd_checksum", fmt::format("{:04X}", view.checksum()), kPageChecksumAt, 2);
  scan->AddFlags("pd_flags", kPageFlagsAt, pg::kPageFlagNames);
  scan->Add16("pd_lower", kPageLowerAt);
  scan->Add16("pd_upper", kPageUpperAt);
  scan->Add16("pd_special", kPageSpecialAt);
  scan->AddNumber("pagesize", view.page_size(), kPageSizeAndVersionAt, 2);
  scan->AddNumber("version", view.layout_version(), kPageSizeAndVersionAt, 2);
  scan->Add32("pd_prune_xid", kPagePruneXidAt);
}

void AddOfMain(PageScan* scan, PageWords* out) {
  const auto add = [&](const char* type, void (*parts)(PageScan*)) {
    out->type = type;
    parts(scan);
  };
  switch (GuessResourceManager(scan->page())) {
    case kRmHeap:
      return add("heap", AddHeapTuples);
    case kRmBtree:
      return add("btree", AddBtree);
    case kRmHash:
      return add("hash", AddHash);
    case kRmGin:
      return add("gin", AddGin);
    case kRmGist:
      return add("gist", AddGist);
    case kRmSpgist:
      return add("spgist", AddSpgist);
    case kRmBrin:
      return add("brin", AddBrin);
    case kRmSeq:
      return add("sequence", AddSequence);
    default:
      return;
  }
}

std::string DoubleText(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return fmt::format("{}", value);
}

}  // namespace

std::string TidText(uint32_t block, uint32_t offset) {
  return fmt::format("({},{})", block, offset);
}

std::vector<std::string> NamesOf(uint32_t value, std::span<const pg::FlagName> names) {
  std::vector<std::string> out;
  for (const pg::FlagName& flag : names)
    if ((value & flag.bits) == flag.bits) out.emplace_back(flag.name);
  return out;
}

std::string PagePart::Name() const { return number ? fmt::format("{} {}", kind, *number) : kind; }

PagePart& PageScan::Begin(std::string kind, std::optional<uint32_t> number,
                          PagePart::Section section) {
  return out_.parts.emplace_back(PagePart{std::move(kind), number, section});
}

void PageScan::AddBlock(std::string name, size_t at) {
  if (const uint32_t block = Get32(at); block != kNoBlock)
    return AddNumber(std::move(name), block, at, 4);
  Add(std::move(name), "none", at, 4);
}

void PageScan::AddTid(std::string name, size_t at) {
  Add(std::move(name), TidText(pg::GetBlockNumber(At(at)), Get16(at + 4)), at,
      pg::kItemPointerSize);
}

void PageScan::AddFlags(std::string name, size_t at, std::span<const pg::FlagName> names) {
  const uint32_t value = Get16(at);
  Add(std::move(name), FlagWords{value, NamesOf(value, names)}, at, 2);
}

void PageScan::AddBytes(std::string name, size_t at, size_t length) {
  if (length == 0) return;
  Add(std::move(name), HexBytes{{At(at), At(at) + length}}, at, length);
}

void PageScan::AddTids(std::string name, size_t at, size_t count) {
  std::vector<std::string> tids;
  for (size_t i = 0; i < count; i++) {
    const uint8_t* tid = At(at + i * pg::kItemPointerSize);
    tids.push_back(TidText(pg::GetBlockNumber(tid), pg::Get16(tid + 4)));
  }
  Add(std::move(name), std::move(tids), at, count * pg::kItemPointerSize);
}

void PageScan::AddMeta(std::span<const pg::MetaField> fields) {
  Begin("metapage", {}, PagePart::kFront);
  for (const pg::MetaField& field : fields) {
    const size_t at = kPageHeaderSize + field.offset;
    switch (field.type) {
      case pg::MetaField::kUint16:
        Add16(field.name, at);
        break;
      case pg::MetaField::kUint32:
        Add32(field.name, at);
        break;
      case pg::MetaField::kBlock:
        AddBlock(field.name, at);
        break;
      case pg::MetaField::kInt64:
        AddNumber(field.name, static_cast<int64_t>(pg::Get64(At(at))), at, 8);
        break;
      case pg::MetaField::kDouble:
        Add(field.name, DoubleText(pg::Get64(At(at))), at, 8);
        break;
      case pg::MetaField::kBool:
        Add(field.name, *At(at) != 0, at, 1);
        break;
    }
  }
}

// Whether no tuple before has these bytes, and they are where tuples are.
bool PageScan::TakeBytes(uint32_t at, uint32_t length) {
  if (at < view_.upper() || at + length > view_.special()) return false;
  for (uint32_t i = at; i < at + length; i++)
    if (taken_[i]) return false;
  for (uint32_t i = at; i < at + length; i++) taken_[i] = true;
  return true;
}

bool PageScan::AddLinePointer(Item* item) {
  static constexpr const char* kStates[] = {"unused", "normal", "redirect", "dead"};
  LinePointer lp;
  if (!view_.line_pointer(item->number, &lp)) return false;
  const size_t at = pg::LinePointerOffset(item->number);
  Begin("line pointer", item->number);
  Add("lp_flags", kStates[lp.flags()], at, kLinePointerSize);
  AddNumber("lp_off", lp.offset(), at, kLinePointerSize);
  AddNumber("lp_len", lp.length(), at, kLinePointerSize);
  if (lp.flags() == kLpUnused || lp.flags() == kLpRedirect || lp.length() == 0) return false;
  item->at = lp.offset();
  item->length = lp.length();
  item->is_dead = lp.flags() == kLpDead;
  if (TakeBytes(item->at, item->length)) return true;
  Note("its tuple lies over another one, or not where tuples are");
  return false;
}

PageWords DescribePage(const PageKey& key, const uint8_t* page, const pg::Version& version) {
  PageWords out{"unknown", {}};
  PageScan scan(page, &out);
  if (const auto slru = key.ToSlruBlock()) {
    out.type = SlruDirectory(slru->kind);
    if (slru->kind != SlruKind::kMultixactOffsets ||
        version.multixact_offset_size == kOffsetEntrySize)
      AddSlru(&scan, *slru);
    return out;
  }
  AddHeader(&scan);
  if (scan.view().is_new()) {
    out.type = "new page";
    return out;
  }
  if (key.field5 == kVisibilityMapFork) {
    out.type = "visibility map";
    AddVisibilityMap(&scan, key.field6);
  } else if (key.field5 == kMainFork || key.field5 == kInitFork) {
    AddOfMain(&scan, &out);
  }
  return out;
}

}  // namespace neon_redo

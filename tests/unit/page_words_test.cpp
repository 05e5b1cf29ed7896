// Pages in words: what is said of a page made by hand, what differs between two, and that bytes of no page
// end in words, too.
#include "cpp_core/page_words/page_words.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>

#include "cpp_core/page_words/page_diff.h"
#include "cpp_core/page_words/page_text.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/index_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/pg/visibility_map.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using Bytes8k = std::vector<uint8_t>;

constexpr PageKey kHeapKey = {PageKey::kRelation, 1663, 5, 16384, kMainFork, 7};

// A page with room for so many line pointers and a special area.
Bytes8k MakePage(uint32_t items, uint32_t special_size) {
  Bytes8k page(kBlockSize);
  pg::SetLower(page.data(), static_cast<uint32_t>(kPageHeaderSize + kLinePointerSize * items));
  pg::SetUpper(page.data(), static_cast<uint32_t>(kBlockSize - special_size));
  pg::SetSpecial(page.data(), static_cast<uint32_t>(kBlockSize - special_size));
  pg::SetSizeAndVersion(page.data(), kPageSizeAndVersion);
  SetPageLsn(page.data(), Lsn(0x1000028));
  return page;
}

void SetLinePointer(Bytes8k* page, uint32_t number, LinePointer lp) {
  std::memcpy(page->data() + pg::LinePointerOffset(number), &lp.bits, sizeof(lp.bits));
}

// Room for an item below those that are there; its line pointer.
uint8_t* AddItem(Bytes8k* page, uint32_t number, uint32_t length) {
  const uint32_t at = pg::Upper(page->data()) - (length + 7) / 8 * 8;
  pg::SetUpper(page->data(), at);
  SetLinePointer(page, number, LinePointer::Of(at, kLpNormal, length));
  return page->data() + at;
}

void AddTuple(Bytes8k* page, uint32_t number, uint32_t xmin, uint32_t xmax, uint16_t infomask) {
  namespace t = pg::tuple;
  uint8_t* tuple = AddItem(page, number, 28);
  pg::Put32(tuple + t::kXmin, xmin);
  pg::Put32(tuple + t::kXmax, xmax);
  pg::PutItemPointer(tuple + t::kCtid, 7, static_cast<uint16_t>(number));
  pg::Put16(tuple + t::kInfomask2, 1);
  pg::Put16(tuple + t::kInfomask, infomask);
  tuple[t::kHoff] = 24;
  pg::Put32(tuple + 24, 100 + number);
}

Bytes8k HeapPage() {
  Bytes8k page = MakePage(5, 0);
  AddTuple(&page, 1, 700, 0, 0x0b00);
  AddTuple(&page, 2, 701, 702, 0x0100);
  SetLinePointer(&page, 3, LinePointer::Of(2, kLpRedirect, 0));
  SetLinePointer(&page, 4, LinePointer::Of(0, kLpDead, 0));
  return page;
}

std::string Text(const PageKey& key, const Bytes8k& page) {
  return PageText(DescribePage(key, page.data(), kPg15));
}
std::string Diff(const PageKey& key, const Bytes8k& a, const Bytes8k& b) {
  return DiffText(ComparePages(key, a.data(), b.data(), kPg15));
}

TEST(PageWordsTest, HeapPage) {
  EXPECT_EQ(Text(kHeapKey, HeapPage()),
            "header: pd_lsn 0/1000028, pd_checksum 0000, pd_flags 0x0000, pd_lower 44, pd_upper "
            "8128, pd_special 8192, pagesize 8192, version 4, pd_prune_xid 0\n"
            "line pointer 1: lp_flags normal, lp_off 8160, lp_len 28\n"
            "tuple 1: t_xmin 700, t_xmax 0, t_cid 0, t_ctid (7,1), t_infomask2 0x0001, natts 1, "
            "t_infomask 0x0B00 (HEAP_XMIN_COMMITTED HEAP_XMIN_INVALID HEAP_XMAX_INVALID), "
            "combined_flags HEAP_XMIN_FROZEN, t_hoff 24, t_data \\x65000000\n"
            "line pointer 2: lp_flags normal, lp_off 8128, lp_len 28\n"
            "tuple 2: t_xmin 701, t_xmax 702, t_cid 0, t_ctid (7,2), t_infomask2 0x0001, natts 1, "
            "t_infomask 0x0100 (HEAP_XMIN_COMMITTED), t_hoff 24, t_data \\x66000000\n"
            "line pointer 3: lp_flags redirect, lp_off 2, lp_len 0\n"
            "line pointer 4: lp_flags dead, lp_off 0, lp_len 0\n"
            "line pointer 5: lp_flags unused, lp_off 0, lp_len 0\n");
}

TEST(PageWordsTest, WhatDiffers) {
  const Bytes8k before = HeapPage();
  Bytes8k after = before;
  EXPECT_EQ(Diff(kHeapKey, before, after), "");
  pg::SetChecksum(after.data(), 7);  // not of WAL
  EXPECT_EQ(Diff(kHeapKey, before, after), "");
  pg::Put32(after.data() + 8160 + pg::tuple::kXmax, 710);
  AddTuple(&after, 5, 710, 0, 0x0800);
  after[100] = 1;  // free space
  EXPECT_EQ(Diff(kHeapKey, before, after),
            "- header: pd_upper 8128\n"
            "+ header: pd_upper 8096\n"
            "- tuple 1: t_xmax 0\n"
            "+ tuple 1: t_xmax 710\n"
            "- line pointer 5: lp_flags unused, lp_off 0, lp_len 0\n"
            "+ line pointer 5: lp_flags normal, lp_off 8096, lp_len 28\n"
            "+ tuple 5: t_xmin 710, t_xmax 0, t_cid 0, t_ctid (7,5), t_infomask2 0x0001, natts 1, "
            "t_infomask 0x0800 (HEAP_XMAX_INVALID), t_hoff 24, t_data \\x69000000\n"
            "- bytes 100-100 in the free space: \\x00\n"
            "+ bytes 100-100 in the free space: \\x01\n");
}

TEST(PageWordsTest, TuplesThatOnlyMove) {
  const Bytes8k before = HeapPage();
  Bytes8k after = MakePage(5, 0);
  AddTuple(&after, 2, 701, 702, 0x0100);
  SetLinePointer(&after, 3, LinePointer::Of(2, kLpRedirect, 0));
  SetLinePointer(&after, 4, LinePointer::Of(0, kLpDead, 0));
  const std::string text = Diff(kHeapKey, before, after);
  EXPECT_NE(text.find("- tuple 1: t_xmin 700"), std::string::npos) << text;
  EXPECT_NE(text.find("  moved on the page: tuples 2\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("bytes"), std::string::npos) << text;
}

TEST(PageWordsTest, LongDataAreShownFromTheDifferenceOn) {
  Bytes8k before = MakePage(1, 0);
  uint8_t* tuple = AddItem(&before, 1, 424);
  tuple[pg::tuple::kHoff] = 24;
  Bytes8k after = before;
  after[after.size() - 100] = 9;
  const std::string text = Diff(kHeapKey, before, after);
  EXPECT_NE(text.find("+ tuple 1: t_data from byte 300 on \\x0900"), std::string::npos) << text;
  EXPECT_NE(text.find("(68 more bytes)"), std::string::npos) << text;
}

TEST(PageWordsTest, TuplesThatLieOverEachOther) {
  Bytes8k page = HeapPage();
  LinePointer lp;
  PageView(page.data()).line_pointer(1, &lp);
  SetLinePointer(&page, 5, lp);
  SetLinePointer(&page, 4, LinePointer::Of(20, kLpNormal, 30));
  const std::string text = Text(kHeapKey, page);
  EXPECT_EQ(text.find("tuple 5:"), std::string::npos) << text;
  EXPECT_NE(text.find("lp_len 30; its tuple lies over another one"), std::string::npos) << text;
}

TEST(PageWordsTest, BtreeTuples) {
  namespace bt = pg::btree;
  Bytes8k page = MakePage(3, bt::kSpecialSize);
  uint8_t* area = pg::SpecialArea(page.data(), bt::kSpecialSize);
  pg::Put32(area + bt::kNext, 4);
  pg::Put16(area + bt::kFlags, bt::kLeaf | bt::kRoot);
  uint8_t* pivot = AddItem(&page, 1, 24);
  pg::PutItemPointer(pivot, 9, pg::kBtreePivotHasTid | 1);
  pg::Put16(pivot + 6, pg::kIndexAltTid | 24);
  pg::PutItemPointer(pivot + 18, 3, 4);
  uint8_t* posting = AddItem(&page, 2, 32);
  pg::PutItemPointer(posting, 16, pg::kBtreeIsPosting | 2);
  pg::Put16(posting + 6, pg::kIndexAltTid | 32);
  pg::PutItemPointer(posting + 16, 1, 2);
  pg::PutItemPointer(posting + 22, 1, 3);
  uint8_t* plain = AddItem(&page, 3, 16);
  pg::PutItemPointer(plain, 5, 6);
  pg::Put16(plain + 6, 16);
  EXPECT_EQ(DescribePage(kHeapKey, page.data(), kPg15).type, "btree");
  const std::string text = Text(kHeapKey, page);
  for (const char* line :
       {"downlink 9, natts 1, htid (3,4), data \\x0000000000000000\n",
        "item 2: ctid (16,8194), itemlen 32, nulls f, vars f, dead f, tids (1,2) (1,3), data ",
        "item 3: ctid (5,6), itemlen 16, nulls f, vars f, dead f, data \\x0000000000000000\n",
        "special area: btpo_prev 0, btpo_next 4, btpo_level 0, btpo_flags 0x0003 (leaf root), "})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST(PageWordsTest, MapsAndTransactions) {
  Bytes8k map = MakePage(0, 0);
  const PageKey map_key = {PageKey::kRelation, 1663, 5, 16384, kVisibilityMapFork, 1};
  for (const uint32_t block : {3, 4, 5, 9}) SetVisibilityBits(map.data(), block, kAllVisibleBit);
  EXPECT_NE(Text(map_key, map)
                .find("heap blocks 32675-32677: all_visible t, all_frozen f\n"
                      "heap block 32681: all_visible t, all_frozen f\n"),
            std::string::npos)
      << Text(map_key, map);
  const PageKey xact = PageKey::OfSlruBlock({SlruKind::kClog, 1, 2});
  Bytes8k page(kBlockSize);
  SetXactStatus(page.data(), 5, kXactCommitted);
  Bytes8k after = page;
  SetXactStatus(after.data(), 6, kXactAborted);
  SetXactStatus(after.data(), 5, 3);
  const uint32_t first = 34 * kXactsPerClogPage;
  EXPECT_EQ(Diff(xact, page, after),
            fmt::format("- transaction {}: status committed\n+ transaction {}: status "
                        "sub-committed\n+ transaction {}: status aborted\n",
                        first + 5, first + 5, first + 6));
  const PageKey members = PageKey::OfSlruBlock({SlruKind::kMultixactMembers, 0, 1});
  Bytes8k list(kBlockSize);
  SetMultixactMember(list.data(), kMembersPerPage + 6, 800, 5);
  EXPECT_EQ(Text(members, list), "member 1642: xid 800, mode upd\n");
  const PageKey offsets = PageKey::OfSlruBlock({SlruKind::kMultixactOffsets, 0, 0});
  Bytes8k numbers(kBlockSize);
  SetMultixactOffset(numbers.data(), 3, 77);
  EXPECT_EQ(Text(offsets, numbers), "multixact 3: first_member 77\n");
  const PageKey times = PageKey::OfSlruBlock({SlruKind::kCommitTs, 0, 0});
  Bytes8k stamps(kBlockSize);
  SetCommitTimestamp(stamps.data(), 700, 86'400'000'000, 2);
  EXPECT_NE(Text(times, stamps).find("transaction 700: time 2000-01-0"), std::string::npos);
}

TEST(PageWordsTest, HexHasEachByteOnce) {
  const Bytes8k page = HeapPage();
  const std::string dump = HexDump(DescribePage(kHeapKey, page.data(), kPg15), page.data());
  EXPECT_NE(dump.find("0018  e0 9f 38 00                                      line pointer 1: "
                      "lp_flags normal, lp_off 8160, lp_len 28\n"),
            std::string::npos)
      << dump;
  EXPECT_NE(dump.find("… "), std::string::npos);
  EXPECT_NE(dump.find("1ff8  65 00 00 00                                      t_data\n"),
            std::string::npos);
}

// All of it stands in the page, and the number of words is bounded.
void CheckFields(const PageWords& words) {
  size_t bytes = 0;
  for (const PagePart& part : words.parts)
    for (const PageField& field : part.fields) {
      ASSERT_LE(field.offset + field.length, kBlockSize) << part.Name() << " " << field.name;
      bytes += field.length;
    }
  ASSERT_LE(bytes, 40 * kBlockSize);  // a bit of a map is a field of one byte
}

// A difference is told exactly if there is one.
void CheckDiff(const PageKey& key, const Bytes8k& a, const Bytes8k& b) {
  Bytes8k c = b;
  if (!key.ToSlruBlock()) std::memcpy(c.data() + kPageChecksumAt, a.data() + kPageChecksumAt, 2);
  const PageDiff diff = ComparePages(key, a.data(), b.data(), kPg15);
  ASSERT_EQ(diff.empty(), a == c);
  ASSERT_EQ(diff.empty(), DiffText(diff).empty());
}

TEST(PageWordsTest, EveryBitOfAPageMakesADifference) {
  const Bytes8k page = HeapPage();
  for (uint32_t bit = 0; bit < kBlockSize * 8; bit++) {
    if (bit > 1000 && bit < 8100 * 8 && bit % 97 != 0) continue;  // free space
    Bytes8k other = page;
    other[bit / 8] = static_cast<uint8_t>(other[bit / 8] ^ 1 << bit % 8);
    CheckDiff(kHeapKey, page, other);
    if (HasFatalFailure()) FAIL() << bit;
  }
}

// Bytes of chance with a header that passes, with line pointers to anywhere, of each kind.
class Chance {
 public:
  explicit Chance(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Bytes8k Page() {
    static constexpr uint32_t kSizes[] = {0, 8, 16, 24};
    static constexpr uint16_t kIds[] = {0,      1,      2,      3,      4,      8,      0x83,
                                        0xff80, 0xff81, 0xff82, 0xf091, 0xf092, 0xf093, 0x1717};
    Bytes8k page(kBlockSize);
    for (size_t i = Below(4) == 0 ? 0 : kBlockSize - 704; i < kBlockSize; i += 8)
      pg::Put64(page.data() + i, Below(3) ? random_() : random_() & 0x1f1f1f1f1f1f1f1f);
    const uint32_t special = kBlockSize - kSizes[Below(4)];
    const uint32_t lower = kPageHeaderSize + (Below(200) ? Below(60) : Below(7000));
    pg::SetLower(page.data(), lower);
    pg::SetUpper(page.data(), lower + Below(special - lower + 1));
    pg::SetSpecial(page.data(), special);
    for (uint32_t n = 1; n <= PageView(page.data()).line_pointer_count(); n++)
      SetLinePointer(&page, n,
                     LinePointer::Of(Below(4) ? kBlockSize - Below(700) : Below(0x8000), Below(4),
                                     Below(5) ? Below(200) : Below(0x8000)));
    pg::Put16(page.data() + pg::kPageIdAt, kIds[Below(std::size(kIds))]);
    if (special + 16 == kBlockSize && Below(2)) pg::Put16(page.data() + special + 12, Below(512));
    if (special + 8 == kBlockSize && Below(8) == 0) {
      pg::Put64(page.data() + special, pg::sequence::kMagic);
      pg::SetLower(page.data(), kPageHeaderSize + kLinePointerSize);
    }
    if (Below(100) == 0) pg::SetUpper(page.data(), 0);
    return page;
  }
  PageKey Key() {
    if (Below(8) == 0)
      return PageKey::OfSlruBlock({static_cast<SlruKind>(Below(4)), Below(0xffff), Below(32)});
    PageKey key = kHeapKey;
    key.field5 = static_cast<uint8_t>(Below(8) ? 0 : Below(4));
    return key;
  }

 private:
  std::mt19937_64 random_;
};

// A sanitizer takes some ten times as long.
#ifdef __SANITIZE_ADDRESS__
constexpr int kHostilePages = 8'000;
#else
constexpr int kHostilePages = 100'000;
#endif

TEST(PageWordsTest, HostilePages) {
  Chance chance(21);
  std::set<std::string> types;
  for (int i = 0; i < kHostilePages; i++) {
    const PageKey key = chance.Key();
    const Bytes8k page = chance.Page();
    // These have thousands of entries.
    if ((key.ToSlruBlock() || key.field5 == kVisibilityMapFork) && i % 64 != 0) continue;
    const PageWords words = DescribePage(key, page.data(), i % 2 ? kPg15 : kPg18);
    types.insert(words.type);
    CheckFields(words);
    if (i % 16 == 0) {
      ASSERT_FALSE(HexDump(words, page.data()).empty());
      PageText(words);
      Bytes8k other = page;
      other[chance.Below(kBlockSize)] ^= 0x10;
      CheckDiff(key, page, other);
      CheckDiff(key, page, chance.Page());
    }
    if (HasFatalFailure()) FAIL() << i;
  }
  for (const char* type : {"heap", "btree", "hash", "gin", "gist", "spgist", "brin", "sequence",
                           "visibility map", "pg_xact", "new page", "unknown"})
    EXPECT_TRUE(types.contains(type)) << type;
}

}  // namespace
}  // namespace neon_redo

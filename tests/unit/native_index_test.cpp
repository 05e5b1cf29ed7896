// The native engine on B-tree, BRIN, Sequence and Generic records: results worked out by hand, and
// hostile records. See native_heap_test.cpp.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/redo/native/without_image.h"
#include "tests/unit/native_record.h"

namespace neon_redo::testing {
namespace {

constexpr uint32_t kBlock = 7;
constexpr size_t kOpaque = kBlockSize - 16;

// An index tuple of 16 bytes: heap TID (0, tid), an 8-byte key.
Fields Tuple(uint16_t tid, uint64_t key) {
  return Fields().U16(0).U16(0).U16(tid).U16(16).U64(key);
}

// What an item on the page looks like: its key and heap TIDs.
std::string Show(const TestPage& page, uint32_t number) {
  LinePointer lp{};
  EXPECT_TRUE(PageView(page.bytes).line_pointer(number, &lp));
  const uint8_t* tuple = page.bytes + lp.offset();
  std::string text = std::to_string(LoadNative<uint64_t>(tuple + 8)) + ":";
  const uint16_t posid = LoadNative<uint16_t>(tuple + 4);
  if (!(LoadNative<uint16_t>(tuple + 6) & 0x2000)) return text + std::to_string(posid);
  const uint8_t* tid = tuple + LoadNative<uint16_t>(tuple + 2);
  for (int i = 0; i < (posid & 0x0fff); i++, tid += 6)
    text += (i ? "," : "") + std::to_string(LoadNative<uint16_t>(tid + 4));
  return text;
}

std::string ShowAll(const TestPage& page) {
  std::string text;
  for (uint32_t n = 1; n <= PageView(page.bytes).line_pointer_count(); n++)
    text += (n > 1 ? " " : "") + Show(page, n);
  return text;
}

// A rightmost leaf page of these tuples (NEWROOT with level 1, then made a leaf by hand).
TestPage LeafPage(const std::vector<Fields>& tuples) {
  Fields items;
  for (size_t i = tuples.size(); i-- > 0;) items.Add(tuples[i]);
  const auto meta = Fields().U32(4).U32(kBlock).U32(1).U32(kBlock).U32(1).U32(0).U32(0);
  const auto record = RecordBuilder(kRmBtree, 0xa0)
                          .Block(0, kBlock, items, true)
                          .Block(1, 8)
                          .Block(2, 0, meta, true)
                          .Main(Fields().U32(kBlock).U32(1))
                          .Bytes();
  TestPage page;
  EXPECT_EQ(Apply(record, 0, 100, &page, false), NativeResult::kApplied);
  page.bytes[kOpaque + 8] = 0;
  page.bytes[kOpaque + 12] = 3;  // BTP_LEAF, BTP_ROOT
  return page;
}

NativeResult Change(uint8_t info, const Fields& data, const Fields& main, TestPage* page) {
  return Apply(RecordBuilder(kRmBtree, info).Block(0, kBlock, data).Main(main).Bytes(), 0, 200,
               page);
}

TEST(NativeBtree, InsertMovesLaterLinePointers) {
  TestPage page = LeafPage({Tuple(1, 10), Tuple(2, 20), Tuple(3, 30)});
  ASSERT_EQ(ShowAll(page), "10:1 20:2 30:3");
  ASSERT_EQ(Change(0x00, Tuple(9, 15), Fields().U16(2), &page), NativeResult::kApplied);
  EXPECT_EQ(ShowAll(page), "10:1 15:9 20:2 30:3");
  EXPECT_EQ(PageView(page.bytes).lsn(), Lsn(200));
  for (uint16_t offset : {0, 6, 65535}) {
    TestPage copy = page;
    copy.bytes[7] = 0;
    EXPECT_EQ(Apply(RecordBuilder(kRmBtree, 0)
                        .Block(0, kBlock, Tuple(1, 1))
                        .Main(Fields().U16(offset))
                        .Bytes(),
                    0, 900, &copy),
              NativeResult::kMalformed);
  }
}

TEST(NativeBtree, DedupThenPostingSplitThenVacuum) {
  TestPage page = LeafPage({Tuple(1, 10), Tuple(2, 20), Tuple(4, 20), Tuple(6, 20), Tuple(8, 30)});
  ASSERT_EQ(Change(0x60, Fields().U16(2).U16(3), Fields().U16(1), &page), NativeResult::kApplied);
  EXPECT_EQ(ShowAll(page), "10:1 20:2,4,6 30:8");
  // TID 3 belongs into the list: it goes in, and 6 becomes the new tuple's.
  const auto post = RecordBuilder(kRmBtree, 0x50)
                        .Block(0, kBlock, Fields().U16(1).Add(Tuple(3, 20)))
                        .Main(Fields().U16(3))
                        .Bytes();
  ASSERT_EQ(Apply(post, 0, 300, &page), NativeResult::kApplied);
  EXPECT_EQ(ShowAll(page), "10:1 20:2,3,4 20:6 30:8");
  // Item 1 goes; of item 2 the first and last TIDs go, so it is an ordinary tuple again.
  const auto vacuum = RecordBuilder(kRmBtree, 0xc0)
                          .Block(0, kBlock, Fields().U16(1).U16(2).U16(2).U16(0).U16(2))
                          .Main(Fields().U16(1).U16(1))
                          .Bytes();
  ASSERT_EQ(Apply(vacuum, 0, 400, &page), NativeResult::kApplied);
  EXPECT_EQ(ShowAll(page), "20:3 20:6 30:8");
}

// pd_lower of a damaged page may end within a line pointer: PageIndexTupleDelete moves that piece.
TEST(NativeBtree, DeletionMovesAllBytesBelowPdLower) {
  TestPage page = LeafPage({Tuple(1, 10), Tuple(2, 20), Tuple(3, 30)});
  const size_t lower = 24 + 3 * 4;
  page.bytes[12] = lower + 2;
  page.bytes[lower + 1] = 0x55;
  const auto record = RecordBuilder(kRmBtree, 0xc0)
                          .Block(0, kBlock, Fields().U16(2))
                          .Main(Fields().U16(1).U16(0))
                          .Bytes();
  ASSERT_EQ(Apply(record, 0, 200, &page), NativeResult::kApplied);
  EXPECT_EQ(page.bytes[12], lower + 2 - 4);
  EXPECT_EQ(page.bytes[lower + 1 - 4], 0x55);
  EXPECT_EQ(ShowAll(page), "10:1 30:3");
}

TEST(NativeBtree, PostingSplitOutsideTheListIsRefused) {
  for (uint16_t at : {0, 3, 65535}) {
    TestPage page = LeafPage({Tuple(2, 20), Tuple(4, 20), Tuple(6, 20)});
    ASSERT_EQ(Change(0x60, Fields().U16(1).U16(3), Fields().U16(1), &page), NativeResult::kApplied);
    const auto post = RecordBuilder(kRmBtree, 0x50)
                          .Block(0, kBlock, Fields().U16(at).Add(Tuple(3, 20)))
                          .Main(Fields().U16(2))
                          .Bytes();
    EXPECT_EQ(Apply(post, 0, 300, &page), NativeResult::kMalformed);
  }
}

// The server writes a page that the record initialises whichever page is asked for.
TEST(NativeBtree, RefusesWhatDoesNotFitTheOtherPage) {
  for (uint8_t fields : {0, 6, 7}) {
    Fields meta;
    for (int i = 0; i < fields; i++) meta.U32(1);
    const auto record = RecordBuilder(kRmBtree, 0xa0)
                            .Block(0, kBlock, Tuple(1, 10), true)
                            .Block(1, 8)
                            .Block(2, 0, meta, true)
                            .Main(Fields().U32(kBlock).U32(1))
                            .Bytes();
    TestPage root, child = LeafPage({Tuple(1, 10)});
    const auto result = fields == 7 ? NativeResult::kApplied : NativeResult::kMalformed;
    EXPECT_EQ(Apply(record, 0, 300, &root, false), result);
    EXPECT_EQ(Apply(record, 1, 300, &child), result);
  }
}

// 10 20 | 30, and 15 is new: on the left.
TEST(NativeBtree, SplitWritesBothHalves) {
  const auto split = RecordBuilder(kRmBtree, 0x30)
                         .Block(0, kBlock, Fields().Add(Tuple(9, 15)).Add(Tuple(0, 30)))
                         .Block(1, 21, Tuple(3, 30), true)
                         .Main(Fields().U32(0).U16(3).U16(2).U16(0))
                         .Bytes();
  TestPage left = LeafPage({Tuple(1, 10), Tuple(2, 20), Tuple(3, 30)}), right;
  ASSERT_EQ(Apply(split, 0, 300, &left), NativeResult::kApplied);
  EXPECT_EQ(ShowAll(left), "30:0 10:1 15:9 20:2");  // the high key first
  EXPECT_EQ(LoadNative<uint32_t>(left.bytes + kOpaque + 4), 21u);
  EXPECT_EQ(LoadNative<uint16_t>(left.bytes + kOpaque + 12), 0x81);  // LEAF, INCOMPLETE_SPLIT
  ASSERT_EQ(Apply(split, 1, 300, &right, false), NativeResult::kApplied);
  EXPECT_EQ(ShowAll(right), "30:3");
  EXPECT_EQ(LoadNative<uint32_t>(right.bytes + kOpaque), kBlock);
}

TEST(NativeBtree, WillInitMustAgreeWithTheOperation) {
  TestPage page = LeafPage({Tuple(1, 10)});
  const auto insert =
      RecordBuilder(kRmBtree, 0x00).Block(0, kBlock, Tuple(1, 1), true).Main(Fields().U16(1));
  EXPECT_EQ(Apply(insert.Bytes(), 0, 300, &page), NativeResult::kUnsupported);
  const auto meta = RecordBuilder(kRmBtree, 0xe0).Block(0, 0, Fields().U32(4).U64(1).U64(1).U64(0));
  EXPECT_EQ(Apply(meta.Bytes(), 0, 300, &page), NativeResult::kUnsupported);
}

TEST(NativeBrin, SamepageUpdateGrowsAndShrinksAnItem) {
  auto insert = [](uint16_t offset, const char* text, bool init) {
    return RecordBuilder(kRmBrin, init ? 0x90 : 0x10)
        .Block(0, kBlock, Fields().Text(text), init)
        .Block(1, 1)
        .Main(Fields().U32(256).U32(128).U16(offset))
        .Bytes();
  };
  TestPage page;
  ASSERT_EQ(Apply(insert(1, "first of them", true), 0, 1, &page, false), NativeResult::kApplied);
  ASSERT_EQ(Apply(insert(2, "second", false), 0, 2, &page), NativeResult::kApplied);
  for (const char* text : {"a much longer text than before", "short"}) {
    const auto update = RecordBuilder(kRmBrin, 0x30)
                            .Block(0, kBlock, Fields().Text(text))
                            .Main(Fields().U16(1))
                            .Bytes();
    ASSERT_EQ(Apply(update, 0, PageView(page.bytes).lsn().value + 1, &page),
              NativeResult::kApplied);
    LinePointer first{}, second{};
    ASSERT_TRUE(PageView(page.bytes).line_pointer(1, &first));
    ASSERT_TRUE(PageView(page.bytes).line_pointer(2, &second));
    EXPECT_EQ(std::string(reinterpret_cast<char*>(page.bytes) + first.offset(), first.length()),
              text);
    EXPECT_EQ(std::string(reinterpret_cast<char*>(page.bytes) + second.offset(), second.length()),
              "second");
    EXPECT_EQ(PageView(page.bytes).upper(), second.offset());
  }
  // Block 1: the entry of heap block 256 in the range map, the third.
  TestPage map;
  ASSERT_EQ(Apply(RecordBuilder(kRmBrin, 0x40)
                      .Block(0, 0)
                      .Block(1, kBlock, {}, true)
                      .Main(Fields().U32(kBlock))
                      .Bytes(),
                  1, 1, &map, false),
            NativeResult::kApplied);
  ASSERT_EQ(Apply(insert(2, "second", false), 1, 2, &map), NativeResult::kApplied);
  EXPECT_EQ(LoadNative<uint16_t>(map.bytes + 24 + 2 * 6 + 2), kBlock);
  EXPECT_EQ(LoadNative<uint16_t>(map.bytes + 24 + 2 * 6 + 4), 2);
}

TEST(NativeGeneric, WritesPiecesAndClearsTheHole) {
  TestPage page = LeafPage({Tuple(1, 10)});
  page.bytes[100] = 0x55;  // in the hole
  const auto record =
      RecordBuilder(kRmGeneric, 0).Block(0, kBlock, Fields().U16(8190).U16(2).U16(0x1234)).Bytes();
  ASSERT_EQ(Apply(record, 0, 300, &page), NativeResult::kApplied);
  EXPECT_EQ(LoadNative<uint16_t>(page.bytes + 8190), 0x1234);
  EXPECT_EQ(page.bytes[100], 0);
  const auto past =
      RecordBuilder(kRmGeneric, 0).Block(0, kBlock, Fields().U16(8191).U16(2).U16(0x1234)).Bytes();
  EXPECT_EQ(Apply(past, 0, 400, &page), NativeResult::kMalformed);
}

TEST(NativeSequence, OneTupleAndItsMagic) {
  TestPage page;
  const auto record = RecordBuilder(kRmSeq, 0)
                          .Block(0, 0, {}, true)
                          .Main(Fields().U32(1).U32(2).U32(3).Text("the sequence's tuple"))
                          .Bytes();
  ASSERT_EQ(Apply(record, 0, 300, &page, false), NativeResult::kApplied);
  EXPECT_EQ(LoadNative<uint32_t>(page.bytes + 8184), 0x1717u);
  EXPECT_EQ(std::memcmp(page.bytes + 8184 - 24, "the sequence's tuple", 20), 0);
}

// Small numbers are likely to be item numbers, counts and sizes that nearly fit.
// A record that brings an image leaves its block's data out. What it does is then not known, even if
// the routine finds nothing wrong with no data.
TEST(WithoutImage, WhatDataDescribeIsNotKnown) {
  const auto page_with = [](uint32_t special) {
    TestPage page;
    pg::SetLower(page.bytes, kPageHeaderSize);
    pg::SetUpper(page.bytes, kBlockSize - special);
    pg::SetSpecial(page.bytes, kBlockSize - special);
    pg::SetSizeAndVersion(page.bytes, kPageSizeAndVersion);
    return page;
  };
  const auto applies = [](const RecordBuilder& builder, int id, TestPage page) {
    const auto bytes = builder.Bytes();
    RecordView view{kPg15};
    EXPECT_FALSE(view.Parse(bytes));
    EXPECT_TRUE(view.block(id)->apply_image);
    return ApplyWithoutImage(view, id, Lsn(200), page.bytes);
  };
  const TestPage heap = page_with(0), index = page_with(16);
  const auto image = [](uint8_t rmid, uint8_t info, const Fields& main, const TestPage& page) {
    return RecordBuilder(rmid, info).Image(0, kBlock, page.bytes).Main(main);
  };
  // Hash DELETE of the primary bucket page, Generic, Heap2 PRUNE of lines that become unused.
  EXPECT_FALSE(
      applies(RecordBuilder(kRmHash, 0x90).Image(1, kBlock, index.bytes).Main(Fields().U8(0).U8(1)),
              1, index));
  EXPECT_FALSE(applies(image(kRmGeneric, 0, {}, heap), 0, heap));
  EXPECT_FALSE(applies(image(kRmHeap2, 0x10, Fields().U32(700).U16(0).U16(0), heap), 0, heap));
  EXPECT_FALSE(applies(image(kRmBtree, 0x70, Fields().U32(700).U16(1).U16(0), index), 0, index));
  EXPECT_FALSE(applies(image(kRmGist, 0x00, Fields().U16(0).U16(0), index), 0, index));
  // With its data, for logical decoding, or where all is in the main data.
  TestPage one = page_with(0);
  pg::SetLower(one.bytes, kPageHeaderSize + kLinePointerSize);
  pg::SetUpper(one.bytes, 8000);
  pg::Put32(one.bytes + kPageHeaderSize, LinePointer::Of(8000, kLpNormal, 100).bits);
  EXPECT_TRUE(applies(image(kRmHeap, 0x10, Fields().U32(700).U16(1).U8(0).U8(0), one), 0, one));
  EXPECT_TRUE(
      applies(image(kRmHash, 0xc0, Fields().U32(700).U32(0).U16(1), index).Block(1, 0), 0, index));
  TestPage newer = one;
  SetPageLsn(newer.bytes, Lsn(300));
  EXPECT_FALSE(applies(image(kRmHeap, 0x10, Fields().U32(700).U16(1).U8(0).U8(0), one), 0, newer));
}

TEST(NativeIndex, SurvivesRandomRecordsAndPages) {
  std::mt19937 random(8);
  TestPage good = LeafPage({Tuple(1, 10), Tuple(2, 20), Tuple(4, 20), Tuple(6, 20), Tuple(8, 30)});
  ASSERT_EQ(Change(0x60, Fields().U16(2).U16(3), Fields().U16(1), &good), NativeResult::kApplied);
  for (int i = 0; i < 120000; i++) {
    static constexpr uint8_t kRmgrs[] = {kRmBtree, kRmBtree, kRmBtree, kRmBrin, kRmSeq, kRmGeneric};
    Fields data, main;
    for (uint32_t n = random() % 24; n > 0; n--) data.U16(static_cast<uint16_t>(random() % 5));
    if (random() % 2) data.Add(Tuple(static_cast<uint16_t>(random() % 9), random() % 40));
    for (uint32_t n = random() % 18; n > 0; n--) main.U16(static_cast<uint16_t>(random() % 5));
    RecordBuilder builder(kRmgrs[random() % 6], static_cast<uint8_t>(random() % 16 << 4));
    for (uint8_t id = 0; id < 5; id++) {
      if (random() % 5 < 3) builder.Block(id, kBlock + id, data, random() % 3 == 0);
    }
    const auto record = builder.Main(main).Bytes();
    TestPage page = good;
    for (uint32_t n = random() % 3; n > 0; n--)
      page.bytes[random() % 2 ? 8 + random() % 40 : 8100 + random() % 92] =
          static_cast<uint8_t>(random());
    const TestPage before = page;
    if (Apply(record, static_cast<int>(random() % 5), 1000, &page) == NativeResult::kUnsupported) {
      ASSERT_EQ(std::memcmp(&page, &before, sizeof(page)), 0);
    }
  }
}

TEST(NativeBtree, VacuumClearsTheCycleIdFrom18On) {
  const auto vacuum =
      RecordBuilder(kRmBtree, 0xc0).Block(0, kBlock, Fields().U16(1)).Main(Fields().U16(1).U16(0));
  for (const pg::Version* version : {&kPg15, &kPg17, &kPg18}) {
    TestPage page = LeafPage({Tuple(1, 10), Tuple(2, 20)});
    page.bytes[kOpaque + 14] = 7;
    ASSERT_EQ(Apply(vacuum.Bytes(), 0, 200, &page, true, *version), NativeResult::kApplied);
    EXPECT_EQ(ShowAll(page), "20:2");
    EXPECT_EQ(page.bytes[kOpaque + 14], version == &kPg18 ? 0 : 7);
  }
}

// A page of two index tuples, with 16 bytes of special area.
TestPage IndexPage(uint16_t flags_at_12) {
  TestPage page;
  const uint16_t header[] = {0, 0, 32, 8144, 8176, 0x2004};  // checksum … pd_pagesize_version
  std::memcpy(page.bytes + 8, header, sizeof(header));
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t at = 8160 - 16 * i;
    const uint32_t line = at | 1u << 15 | 16u << 17;
    std::memcpy(page.bytes + 24 + 4 * i, &line, sizeof(line));
    const Fields tuple = Tuple(static_cast<uint16_t>(i + 1), 10 * (i + 1));
    std::memcpy(page.bytes + at, tuple.bytes().data(), 16);
  }
  std::memcpy(page.bytes + kOpaque + 12, &flags_at_12, sizeof(flags_at_12));
  return page;
}

NativeResult ApplyAs(const pg::Version& version, const RecordBuilder& builder, TestPage* page) {
  return Apply(builder.Bytes(), 0, 200, page, true, version);
}

// The numbers of items begin where the version has them, and nowhere else.
TEST(NativeGist, DeleteOfEachVersion) {
  const auto of_15 =
      RecordBuilder(kRmGist, 0x10).Block(0, kBlock).Main(Fields().U32(690).U16(1).U16(1));
  const auto of_17 =
      RecordBuilder(kRmGist, 0x10).Block(0, kBlock).Main(Fields().U32(690).U16(1).U16(0).U16(1));
  TestPage page = IndexPage(0x11);  // F_LEAF, F_HAS_GARBAGE
  ASSERT_EQ(ApplyAs(kPg15, of_15, &page), NativeResult::kApplied);
  EXPECT_EQ(ShowAll(page), "20:2");
  EXPECT_EQ(page.bytes[kOpaque + 12], 0x01);
  for (const pg::Version* version : {&kPg17, &kPg18}) {
    page = IndexPage(0x11);
    ASSERT_EQ(ApplyAs(*version, of_17, &page), NativeResult::kApplied);
    EXPECT_EQ(ShowAll(page), "20:2");
    EXPECT_EQ(page.bytes[kOpaque + 12], 0x01);
  }
  page = IndexPage(0x11);
  EXPECT_EQ(ApplyAs(kPg15, of_17, &page), NativeResult::kMalformed);  // no item 0
  // Without the numbers: beside an image in 15, never later.
  const auto short_15 =
      RecordBuilder(kRmGist, 0x10).Block(0, kBlock).Main(Fields().U32(690).U16(1));
  const auto short_17 =
      RecordBuilder(kRmGist, 0x10).Block(0, kBlock).Main(Fields().U32(690).U16(1).U16(0));
  page = IndexPage(0x11);
  EXPECT_EQ(ApplyAs(kPg15, short_15, &page), NativeResult::kApplied);
  page = IndexPage(0x11);
  EXPECT_EQ(ApplyAs(kPg17, short_17, &page), NativeResult::kMalformed);
}

TEST(NativeHash, VacuumOnePageOfEachVersion) {
  // ntuples of two bytes, and isCatalogRel, which the count of four bytes would take in.
  const auto record = RecordBuilder(kRmHash, 0xc0)
                          .Block(0, kBlock)
                          .Block(1, 0)
                          .Main(Fields().U32(690).U16(1).U8(1).U8(0).U16(2));
  for (const pg::Version* version : {&kPg17, &kPg18}) {
    TestPage page = IndexPage(0x82);  // LH_BUCKET_PAGE, LH_PAGE_HAS_DEAD_TUPLES
    ASSERT_EQ(ApplyAs(*version, record, &page), NativeResult::kApplied);
    EXPECT_EQ(ShowAll(page), "10:1");
    EXPECT_EQ(page.bytes[kOpaque + 12], 0x02);
  }
  TestPage page = IndexPage(0x82);
  EXPECT_EQ(ApplyAs(kPg15, record, &page), NativeResult::kMalformed);
}

}  // namespace
}  // namespace neon_redo::testing

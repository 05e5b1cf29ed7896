// The native engine on heap records: results worked out by hand from the server's rules, and
// hostile records. That results are PostgreSQL's in earnest is for
// tests/integration/test_native.py.
#include <gtest/gtest.h>

#include <random>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo::testing {
namespace {

constexpr uint8_t kInitPage = 0x80;
constexpr uint32_t kBlock = 3;

std::vector<uint8_t> InsertRecord(uint16_t offset, const char* text, bool init = false,
                                  uint8_t flags = 0, uint32_t xid = 700) {
  Fields data;
  data.U16(1).U16(0x0802).U8(24).U8(0).Text(text);
  return RecordBuilder(kRmHeap, init ? kInitPage : 0, xid)
      .Block(0, kBlock, data, init)
      .Main(Fields().U16(offset).U8(flags))
      .Bytes();
}

// Three tuples of 24, 32 and 40 bytes with their padding.
TestPage ThreeTuples() {
  TestPage page;
  EXPECT_EQ(Apply(InsertRecord(1, "", true), 0, 100, &page, false), NativeResult::kApplied);
  EXPECT_EQ(Apply(InsertRecord(2, "seven77"), 0, 200, &page), NativeResult::kApplied);
  EXPECT_EQ(Apply(InsertRecord(3, "sixteen bytes!!!"), 0, 300, &page), NativeResult::kApplied);
  return page;
}

LinePointer Line(const TestPage& page, uint32_t number) {
  LinePointer lp{};
  EXPECT_TRUE(PageView(page.bytes).line_pointer(number, &lp));
  return lp;
}

TEST(NativeHeap, InsertPlacesTuplesFromTheEnd) {
  const TestPage page = ThreeTuples();
  const PageView view(page.bytes);
  EXPECT_EQ(view.lsn(), Lsn(300));
  EXPECT_EQ(view.lower(), 36);
  EXPECT_EQ(view.upper(), 8192 - 24 - 32 - 40);
  EXPECT_EQ(Line(page, 2).offset(), 8192u - 24 - 32);
  EXPECT_EQ(Line(page, 2).length(), 31u);
  EXPECT_EQ(Line(page, 2).flags(), kLpNormal);
  const uint8_t* tuple = page.bytes + Line(page, 2).offset();
  EXPECT_EQ(LoadNative<uint32_t>(tuple), 700u);         // xmin
  EXPECT_EQ(LoadNative<uint32_t>(tuple + 4), 0u);       // xmax
  EXPECT_EQ(LoadNative<uint16_t>(tuple + 14), kBlock);  // t_ctid
  EXPECT_EQ(LoadNative<uint16_t>(tuple + 16), 2);
  EXPECT_EQ(LoadNative<uint16_t>(tuple + 20), 0x0802);
  EXPECT_EQ(std::memcmp(tuple + 24, "seven77", 7), 0);
}

TEST(NativeHeap, SkipsRecordsThatAreNotNewer) {
  TestPage page = ThreeTuples();
  const TestPage before = page;
  EXPECT_EQ(Apply(InsertRecord(4, "x"), 0, 300, &page), NativeResult::kApplied);
  EXPECT_EQ(std::memcmp(&page, &before, sizeof(page)), 0);
  // But not one that initialises the page.
  EXPECT_EQ(Apply(InsertRecord(1, "x", true), 0, 50, &page), NativeResult::kApplied);
  EXPECT_EQ(PageView(page.bytes).lsn(), Lsn(50));
  EXPECT_EQ(PageView(page.bytes).line_pointer_count(), 1u);
}

TEST(NativeHeap, LeavesNewPagesToTheWorker) {
  TestPage page;
  EXPECT_EQ(Apply(InsertRecord(1, "x"), 0, 100, &page), NativeResult::kUnsupported);
  EXPECT_EQ(Apply(InsertRecord(1, "x"), 0, 100, &page, false), NativeResult::kUnsupported);
}

TEST(NativeHeap, RefusesOffsetsThatDoNotFit) {
  for (uint16_t offset : {0, 1, 2, 3, 5, 292, 65535}) {
    TestPage page = ThreeTuples();
    EXPECT_EQ(Apply(InsertRecord(offset, "x"), 0, 400, &page), NativeResult::kMalformed) << offset;
  }
}

TEST(NativeHeap, FillsThePageToTheLastByte) {
  TestPage page;
  ASSERT_EQ(Apply(InsertRecord(1, "", true), 0, 1, &page, false), NativeResult::kApplied);
  uint16_t count = 1;
  while (Apply(InsertRecord(count + 1, ""), 0, count + 1u, &page) == NativeResult::kApplied)
    count++;
  EXPECT_EQ(count, 291);  // MaxHeapTuplesPerPage
  EXPECT_EQ(PageView(page.bytes).upper() - PageView(page.bytes).lower(), 20);
}

TEST(NativeHeap, InsertClearsAllVisible) {
  TestPage page = ThreeTuples();
  page.bytes[10] |= kPdAllVisible;
  ASSERT_EQ(Apply(InsertRecord(4, "x", false, 0x01), 0, 400, &page), NativeResult::kApplied);
  EXPECT_EQ(PageView(page.bytes).flags() & kPdAllVisible, 0);
}

TEST(NativeHeap, DeleteMarksTheTupleAndThePage) {
  TestPage page = ThreeTuples();
  auto remove = [](uint32_t xid, uint16_t offset) {
    return RecordBuilder(kRmHeap, 0x10, xid)
        .Block(0, kBlock)
        .Main(Fields().U32(xid).U16(offset).U8(0x10).U8(0))
        .Bytes();
  };
  ASSERT_EQ(Apply(remove(900, 2), 0, 400, &page), NativeResult::kApplied);
  const uint8_t* tuple = page.bytes + Line(page, 2).offset();
  EXPECT_EQ(LoadNative<uint32_t>(tuple + 4), 900u);
  EXPECT_EQ(LoadNative<uint16_t>(tuple + 18), 0x2001);     // HEAP_KEYS_UPDATED
  EXPECT_EQ(LoadNative<uint16_t>(tuple + 20), 0x0002);     // HEAP_XMAX_INVALID gone
  EXPECT_EQ(LoadNative<uint32_t>(page.bytes + 20), 900u);  // pd_prune_xid
  ASSERT_EQ(Apply(remove(800, 3), 0, 500, &page), NativeResult::kApplied);
  EXPECT_EQ(LoadNative<uint32_t>(page.bytes + 20), 800u);  // the older one
  ASSERT_EQ(Apply(remove(950, 1), 0, 600, &page), NativeResult::kApplied);
  EXPECT_EQ(LoadNative<uint32_t>(page.bytes + 20), 800u);
  EXPECT_EQ(Apply(remove(950, 4), 0, 700, &page), NativeResult::kMalformed);
}

// Old and new tuple on one page: "sixteen bytes!!!" becomes "sixteen words!!!!!".
TEST(NativeHeap, HotUpdateTakesPrefixAndSuffixFromTheOldTuple) {
  TestPage page = ThreeTuples();
  Fields data;
  data.U16(8).U16(4).U16(0x8001).U16(0x2802).U8(24).U8(0).Text("words!");
  const auto update = RecordBuilder(kRmHeap, 0x40, 800)
                          .Block(0, kBlock, data)
                          .Main(Fields().U32(800).U16(3).U8(0).U8(0x60).U32(0).U16(4))
                          .Bytes();
  ASSERT_EQ(Apply(update, 0, 400, &page), NativeResult::kApplied);
  const uint8_t* old_tuple = page.bytes + Line(page, 3).offset();
  const uint8_t* new_tuple = page.bytes + Line(page, 4).offset();
  EXPECT_EQ(Line(page, 4).length(), 24u + 18);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(new_tuple + 24), 18), "sixteen words!s!!!");
  EXPECT_EQ(LoadNative<uint16_t>(old_tuple + 16), 4);                // t_ctid leads to the new one
  EXPECT_EQ(LoadNative<uint16_t>(old_tuple + 18) & 0x4000, 0x4000);  // HEAP_HOT_UPDATED
}

TEST(NativeHeap, RefusesPrefixAndSuffixLongerThanTheOldTuple) {
  for (auto [prefix, suffix] : {std::pair{17, 0}, {0, 41}, {65535, 65535}}) {
    TestPage page = ThreeTuples();
    Fields data;
    data.U16(static_cast<uint16_t>(prefix)).U16(static_cast<uint16_t>(suffix));
    data.U16(1).U16(0x0802).U8(24).U8(0).Text("x");
    const auto update = RecordBuilder(kRmHeap, 0x40)
                            .Block(0, kBlock, data)
                            .Main(Fields().U32(800).U16(3).U8(0).U8(0x60).U32(0).U16(4))
                            .Bytes();
    EXPECT_EQ(Apply(update, 0, 400, &page), NativeResult::kMalformed);
  }
}

TEST(NativeHeap, PruneMovesTuplesUpAndDropsTrailingPointers) {
  TestPage page = ThreeTuples();
  const std::string third(reinterpret_cast<const char*>(page.bytes + Line(page, 3).offset()), 40);
  // 1 redirects to 3 and 2 is unused.
  const auto prune = RecordBuilder(kRmHeap2, 0x10)
                         .Block(0, kBlock, Fields().U16(1).U16(3).U16(2))
                         .Main(Fields().U32(0).U16(1).U16(0))
                         .Bytes();
  ASSERT_EQ(Apply(prune, 0, 400, &page), NativeResult::kApplied);
  EXPECT_EQ(Line(page, 1).flags(), kLpRedirect);
  EXPECT_EQ(Line(page, 1).offset(), 3u);
  EXPECT_EQ(Line(page, 2).bits, 0u);
  EXPECT_EQ(Line(page, 3).offset(), 8192u - 40);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(page.bytes + 8192 - 40), 40), third);
  EXPECT_EQ(PageView(page.bytes).flags() & kPdHasFreeLines, kPdHasFreeLines);
  // 3 goes, and with it the line pointers behind the last used one.
  const auto again = RecordBuilder(kRmHeap2, 0x10)
                         .Block(0, kBlock, Fields().U16(1).U16(3))
                         .Main(Fields().U32(0).U16(0).U16(1))
                         .Bytes();
  ASSERT_EQ(Apply(again, 0, 500, &page), NativeResult::kApplied);
  EXPECT_EQ(PageView(page.bytes).line_pointer_count(), 1u);
  EXPECT_EQ(Line(page, 1).flags(), kLpDead);
  EXPECT_EQ(PageView(page.bytes).upper(), 8192);
  EXPECT_EQ(PageView(page.bytes).flags() & kPdHasFreeLines, 0);
}

TEST(NativeHeap, VisibleSetsBitsOfTheMapAndOfThePage) {
  const auto visible = RecordBuilder(kRmHeap2, 0x40)
                           .Block(0, 0, {}, false, kVisibilityMapFork)
                           .Block(1, 5)
                           .Main(Fields().U32(700).U8(0x03))
                           .Bytes();
  TestPage map;  // all zeroes: the map is extended without a record
  ASSERT_EQ(Apply(visible, 0, 100, &map), NativeResult::kApplied);
  EXPECT_EQ(map.bytes[24 + 1], 0x0c);
  EXPECT_EQ(PageView(map.bytes).lsn(), Lsn(100));
  TestPage heap = ThreeTuples();
  ASSERT_EQ(Apply(visible, 1, 400, &heap), NativeResult::kApplied);
  EXPECT_EQ(PageView(heap.bytes).flags() & kPdAllVisible, kPdAllVisible);
  EXPECT_EQ(PageView(heap.bytes).lsn(), Lsn(300));  // as a server without checksums
}

TEST(NativeHeap, RunsOfInsertsEqualSingleInserts) {
  std::vector<std::vector<uint8_t>> bytes = {InsertRecord(1, "first", true)};
  for (uint16_t n = 2; n <= 120; n++)
    bytes.push_back(
        InsertRecord(n, std::string(n % 33, 'a').c_str(), false, n == 77, 700 + n / 10));
  std::vector<RedoRecord> records;
  TestPage one_by_one, run;
  for (size_t i = 0; i < bytes.size(); i++) {
    records.push_back({Lsn(100 + i), bytes[i]});
    ASSERT_EQ(Apply(bytes[i], 0, 100 + i, &one_by_one, i > 0), NativeResult::kApplied);
  }
  RecordView view(kPg15);
  NativeCounters counters;
  const NativeRun done =
      ApplyNativeRun({kRel, kMainFork, kBlock}, records, run.bytes, false, &view, &counters);
  EXPECT_EQ(done.applied, records.size());
  EXPECT_EQ(done.result, NativeResult::kApplied);
  EXPECT_EQ(std::memcmp(&run, &one_by_one, sizeof(run)), 0);
  EXPECT_EQ(counters.counts[kRmHeap][0][0], 119u);
  EXPECT_EQ(counters.counts[kRmHeap][8][0], 1u);
}

TEST(NativeHeap, RunStopsAtTheFirstRecordItCannotApply) {
  const auto first = InsertRecord(1, "first", true), second = InsertRecord(2, "second");
  const auto hole = InsertRecord(9, "no such place");
  const std::vector<RedoRecord> records = {{Lsn(1), first}, {Lsn(2), second}, {Lsn(3), hole}};
  TestPage page;
  RecordView view(kPg15);
  const NativeRun run =
      ApplyNativeRun({kRel, kMainFork, kBlock}, records, page.bytes, false, &view, nullptr);
  EXPECT_EQ(run.applied, 2u);
  EXPECT_EQ(run.result, NativeResult::kMalformed);
  // A record that names another block is nobody's here.
  const NativeRun other =
      ApplyNativeRun({kRel, kMainFork, kBlock + 1}, records, page.bytes, true, &view, nullptr);
  EXPECT_EQ(other.applied, 0u);
  EXPECT_EQ(other.result, NativeResult::kUnsupported);
}

TEST(NativeImage, RestoredWhateverTheResourceManager) {
  TestPage image = ThreeTuples(), page;
  for (uint8_t rmid : {kRmHeap, kRmGin, kRmSpgist}) {
    const auto record = RecordBuilder(rmid, 0x10).Image(0, kBlock, image.bytes).Bytes();
    ASSERT_EQ(Apply(record, 0, 50, &page, false), NativeResult::kApplied);
    EXPECT_EQ(PageView(page.bytes).lsn(), Lsn(50));
    EXPECT_EQ(std::memcmp(page.bytes + 8, image.bytes + 8, kBlockSize - 8), 0);
  }
  const auto truncate = RecordBuilder(kRmSmgr, 0x20).Image(0, kBlock, image.bytes).Bytes();
  EXPECT_EQ(Apply(truncate, 0, 50, &page), NativeResult::kUnsupported);
  // A page that is still new keeps its zeroes.
  const TestPage zeroes;
  const auto fresh = RecordBuilder(kRmXlog, 0xb0).Image(0, kBlock, zeroes.bytes).Bytes();
  ASSERT_EQ(Apply(fresh, 0, 60, &page), NativeResult::kApplied);
  EXPECT_EQ(std::memcmp(&page, &zeroes, sizeof(page)), 0);
}

// Any bytes after the header: nothing may crash, hang or write outside, and "unsupported" must
// leave the page alone.
TEST(NativeHeap, SurvivesRandomRecordsAndPages) {
  std::mt19937 random(20261121);
  const TestPage good = ThreeTuples();
  for (int i = 0; i < 60000; i++) {
    const uint8_t rmid = random() % 2 ? kRmHeap : kRmHeap2;
    Fields data, main;
    for (uint32_t n = random() % 40; n > 0; n--) data.U8(static_cast<uint8_t>(random() % 5));
    for (uint32_t n = random() % 20; n > 0; n--) main.U8(static_cast<uint8_t>(random() % 5));
    const auto record = RecordBuilder(rmid, static_cast<uint8_t>(random() % 16 << 4))
                            .Block(0, kBlock, data, random() % 4 == 0)
                            .Main(main)
                            .Bytes();
    TestPage page = good;
    for (uint32_t n = random() % 3; n > 0; n--)
      page.bytes[8 + random() % 40] = static_cast<uint8_t>(random());
    const TestPage before = page;
    if (Apply(record, 0, 1000, &page) == NativeResult::kUnsupported) {
      ASSERT_EQ(std::memcmp(&page, &before, sizeof(page)), 0);
    }
  }
}

}  // namespace
}  // namespace neon_redo::testing

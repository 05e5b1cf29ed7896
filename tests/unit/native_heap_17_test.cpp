// The native engine on heap records that 15 does not have: the one record that prunes, vacuums and
// freezes, and references to the visibility map where bits are cleared. Results are worked out by
// hand; see native_heap_test.cpp.
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/redo/native/clear_map.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo::testing {
namespace {

constexpr uint32_t kBlock = 3;
constexpr uint8_t kCleanup = 0x04, kHorizon = 0x08, kPlans = 0x10, kRedirected = 0x20, kDead = 0x40,
                  kUnused = 0x80;

NativeResult ApplyTo17(const std::vector<uint8_t>& record, uint64_t lsn, TestPage* page,
                       int id = 0) {
  return Apply(record, id, lsn, page, true, kPg17);
}

// Three tuples of 24, 32 and 40 bytes with their padding.
TestPage ThreeTuples() {
  TestPage page;
  uint16_t number = 0;
  for (const char* text : {"", "seven77", "sixteen bytes!!!"}) {
    const bool init = ++number == 1;
    Fields data;
    data.U16(1).U16(0x0802).U8(24).U8(0).Text(text);
    const auto insert = RecordBuilder(kRmHeap, init ? 0x80 : 0)
                            .Block(0, kBlock, data, init)
                            .Main(Fields().U16(number).U8(0))
                            .Bytes();
    EXPECT_EQ(Apply(insert, 0, number * 100u, &page, !init, kPg17), NativeResult::kApplied);
  }
  return page;
}

LinePointer Line(const TestPage& page, uint32_t number) {
  LinePointer lp{};
  EXPECT_TRUE(PageView(page.bytes).line_pointer(number, &lp));
  return lp;
}

std::vector<uint8_t> Prune(uint8_t flags, const Fields& data, uint8_t operation = 0x20) {
  Fields main = Fields().U8(1).U8(flags);
  if (flags & kHorizon) main.U32(695);
  return RecordBuilder(kRmHeap2, operation).Block(0, kBlock, data).Main(main).Bytes();
}

Fields Plan(uint32_t xmax, uint16_t infomask2, uint16_t infomask, uint8_t flags, uint16_t tuples) {
  return Fields().U32(xmax).U16(infomask2).U16(infomask).U8(flags).U8(0).U16(tuples);
}

TEST(NativePruneFreeze, PrunesAndFreezesInOneRecord) {
  for (const uint8_t operation : {0x10, 0x20, 0x30}) {
    TestPage page = ThreeTuples();
    const std::string third(reinterpret_cast<const char*>(page.bytes + Line(page, 3).offset() + 24),
                            16);
    // 1 redirects to 3, 2 is dead, and 3 is frozen. A plan of no tuple comes before.
    const auto record = Prune(kCleanup | kHorizon | kPlans | kRedirected | kDead,
                              Fields()
                                  .U16(2)
                                  .U16(0)
                                  .Add(Plan(9, 9, 9, 0, 0))
                                  .Add(Plan(0, 1, 0x0b02, 0, 1))
                                  .U16(1)
                                  .U16(1)
                                  .U16(3)
                                  .U16(1)
                                  .U16(2)
                                  .U16(3),
                              operation);
    ASSERT_EQ(ApplyTo17(record, 400, &page), NativeResult::kApplied);
    EXPECT_EQ(Line(page, 1).flags(), kLpRedirect);
    EXPECT_EQ(Line(page, 1).offset(), 3u);
    EXPECT_EQ(Line(page, 2).flags(), kLpDead);
    EXPECT_EQ(Line(page, 3).offset(), 8192u - 40);
    const uint8_t* tuple = page.bytes + Line(page, 3).offset();
    EXPECT_EQ(LoadNative<uint32_t>(tuple + 4), 0u);
    EXPECT_EQ(LoadNative<uint16_t>(tuple + 20), 0x0b02);  // HEAP_XMIN_FROZEN
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(tuple + 24), 16), third);
    EXPECT_EQ(PageView(page.bytes).lsn(), Lsn(400));
  }
}

// Numbers of operations and flags mean other things there.
TEST(NativePruneFreeze, NoRecordOf19IsTaken) {
  TestPage page = ThreeTuples();
  const TestPage before = page;
  const auto prune = Prune(kCleanup | kDead, Fields().U16(2).U16(1).U16(3));
  const auto lock = RecordBuilder(kRmHeap, 0x60)
                        .Block(0, kBlock)
                        .Main(Fields().U32(9).U16(1).U8(0).U8(0))
                        .Bytes();
  ASSERT_EQ(Apply(lock, 0, 300, &page, true, kPg18), NativeResult::kApplied);
  page = before;
  for (const auto& record : {prune, lock})
    EXPECT_EQ(Apply(record, 0, 400, &page, true, kPg19), NativeResult::kUnsupported);
  EXPECT_EQ(std::memcmp(&page, &before, sizeof(page)), 0);
}

TEST(NativePruneFreeze, WithoutTheCleanupLockNoTupleMoves) {
  TestPage page = ThreeTuples();
  ASSERT_EQ(ApplyTo17(Prune(kCleanup | kDead, Fields().U16(2).U16(1).U16(3)), 400, &page),
            NativeResult::kApplied);
  const uint32_t upper = PageView(page.bytes).upper();
  EXPECT_EQ(upper, 8192u - 32);
  ASSERT_EQ(ApplyTo17(Prune(kUnused, Fields().U16(2).U16(1).U16(3), 0x30), 500, &page),
            NativeResult::kApplied);
  EXPECT_EQ(Line(page, 1).bits, 0u);
  EXPECT_EQ(PageView(page.bytes).line_pointer_count(), 2u);  // 3 was the last
  EXPECT_EQ(PageView(page.bytes).upper(), upper);
  EXPECT_EQ(PageView(page.bytes).flags() & kPdHasFreeLines, kPdHasFreeLines);
  // With the lock line pointers of tuples may become unused at once.
  ASSERT_EQ(ApplyTo17(Prune(kCleanup | kUnused, Fields().U16(1).U16(2)), 600, &page),
            NativeResult::kApplied);
  EXPECT_EQ(PageView(page.bytes).line_pointer_count(), 0u);
  EXPECT_EQ(PageView(page.bytes).upper(), 8192);
}

TEST(NativePruneFreeze, FreezesWithoutPruning) {
  TestPage page = ThreeTuples();
  const uint32_t upper = PageView(page.bytes).upper();
  const auto record = Prune(kHorizon | kPlans, Fields()
                                                   .U16(2)
                                                   .U16(0)
                                                   .Add(Plan(0, 1, 0x0b02, 0x04, 2))
                                                   .Add(Plan(7, 1, 0x0a02, 0x02, 1))
                                                   .U16(1)
                                                   .U16(3)
                                                   .U16(2));
  ASSERT_EQ(ApplyTo17(record, 400, &page), NativeResult::kApplied);
  EXPECT_EQ(PageView(page.bytes).upper(), upper);
  const auto tuple = [&](uint32_t number) { return page.bytes + Line(page, number).offset(); };
  EXPECT_EQ(LoadNative<uint16_t>(tuple(1) + 20), 0x0b02);
  EXPECT_EQ(LoadNative<uint16_t>(tuple(3) + 20), 0x0b02);
  EXPECT_EQ(LoadNative<uint16_t>(tuple(2) + 20), 0x0a02);
  EXPECT_EQ(LoadNative<uint32_t>(tuple(2) + 4), 7u);
  EXPECT_EQ(LoadNative<uint32_t>(tuple(2) + 8), 2u);  // XLH_FREEZE_XVAC
}

TEST(NativePruneFreeze, RefusesWhatDoesNotFit) {
  const Fields none;
  const std::pair<uint8_t, Fields> cases[] = {
      {kCleanup | kDead, Fields().U16(1)},                        // no number
      {kCleanup | kDead, Fields().U16(1).U16(4)},                 // no such line
      {kCleanup | kDead, Fields().U16(1).U16(0)},                 // nor this
      {kCleanup | kDead, Fields().U16(1).U16(1).U16(2)},          // data that no plan has
      {kCleanup | kRedirected, Fields().U16(1).U16(1)},           // half a pair
      {kUnused, Fields().U16(1).U16(1)},                          // not dead
      {kDead, Fields().U16(1).U16(1)},                            // without the lock
      {kPlans, Fields().U16(1).U16(0)},                           // no plan
      {kPlans, Fields().U16(1).U16(0).Add(Plan(0, 1, 2, 0, 1))},  // no number
      {kPlans, Fields().U16(1).U16(0).Add(Plan(0, 1, 2, 0, 1)).U16(4)},
      {kCleanup | kUnused, none},
  };
  for (const auto& [flags, data] : cases) {
    TestPage page = ThreeTuples();
    EXPECT_EQ(ApplyTo17(Prune(flags, data), 400, &page), NativeResult::kMalformed)
        << int{flags} << ", " << data.size() << " bytes";
  }
  TestPage page = ThreeTuples();
  const auto no_horizon =
      RecordBuilder(kRmHeap2, 0x10).Block(0, kBlock).Main(Fields().U8(0).U8(kHorizon)).Bytes();
  EXPECT_EQ(ApplyTo17(no_horizon, 400, &page), NativeResult::kMalformed);
}

// The same bytes are other records in other versions.
TEST(NativePruneFreeze, IsNotTakenForARecordOf15) {
  const auto freeze_page_of_15 =
      RecordBuilder(kRmHeap2, 0x30)
          .Block(0, kBlock, Fields().U32(0).U16(1).U16(1).U16(0x0b02).U8(0).U8(0))
          .Main(Fields().U32(690).U16(1))
          .Bytes();
  TestPage page = ThreeTuples();
  EXPECT_EQ(Apply(freeze_page_of_15, 0, 400, &page), NativeResult::kApplied);
  page = ThreeTuples();
  EXPECT_NE(ApplyTo17(freeze_page_of_15, 400, &page), NativeResult::kApplied);
  const auto prune_of_17 = Prune(kCleanup | kDead, Fields().U16(1).U16(1), 0x10);
  page = ThreeTuples();
  EXPECT_NE(Apply(prune_of_17, 0, 400, &page), NativeResult::kApplied);
}

TEST(NativeVisible, TheFlagOfCatalogsIsNotStored) {
  const auto visible = RecordBuilder(kRmHeap2, 0x40)
                           .Block(0, 0, {}, false, kVisibilityMapFork)
                           .Block(1, 5)
                           .Main(Fields().U32(700).U8(0x05))
                           .Bytes();
  TestPage map;
  EXPECT_EQ(Apply(visible, 0, 100, &map), NativeResult::kMalformed);  // 15 has no such flag
  map = {};
  ASSERT_EQ(ApplyTo17(visible, 100, &map), NativeResult::kApplied);
  EXPECT_EQ(map.bytes[24 + 1], 0x04);
}

// A page of the map with all bits of blocks 0 to 15.
TestPage FullMap(uint64_t lsn) {
  TestPage map;
  const uint16_t header[] = {0, 0, 24, 8192, 8192, 0x2004};  // checksum … pd_pagesize_version
  std::memcpy(map.bytes + 8, header, sizeof(header));
  SetPageLsn(map.bytes, Lsn(lsn));
  std::memset(map.bytes + 24, 0xff, 4);
  return map;
}

struct MapCase {
  uint8_t rmid, info;
  Fields main;
  uint8_t left;  // of the bits of heap block 5
};

// The server initialises the heap page, and dies if its reference does not say so.
TEST(NativeClearMap, TheHeapPageIsInitialisedOrNot) {
  for (const bool says_so : {false, true}) {
    for (const bool does : {false, true}) {
      const auto insert = RecordBuilder(kRmHeap, does ? 0x80 : 0)
                              .Block(0, 5, Fields().U8(1), says_so)
                              .Block(1, 0, {}, false, kVisibilityMapFork)
                              .Main(Fields().U16(4).U8(1))
                              .Bytes();
      TestPage map = FullMap(100);
      const bool is_taken = ApplyTo17(insert, 400, &map, 1) == NativeResult::kApplied;
      EXPECT_TRUE(!is_taken || says_so == does) << says_so << does;
    }
  }
}

TEST(NativeClearMap, RecordsThatNameTheMapClearItsBits) {
  const MapCase cases[] = {
      {kRmHeap, 0x00, Fields().U16(4).U8(1), 0},
      {kRmHeap, 0x10, Fields().U32(900).U16(1).U8(0).U8(1), 0},
      {kRmHeap, 0x60, Fields().U32(900).U16(1).U8(0).U8(1), kAllVisibleBit},
      {kRmHeap2, 0x50, Fields().U8(1).U8(0).U16(1).U16(4), 0},
      {kRmHeap2, 0x60, Fields().U32(900).U16(1).U8(0).U8(1), kAllVisibleBit},
  };
  for (const MapCase& c : cases) {
    RecordBuilder builder(c.rmid, c.info);
    builder.Block(0, 5, Fields().U8(1)).Block(1, 0, {}, false, kVisibilityMapFork).Main(c.main);
    TestPage map = FullMap(100);
    ASSERT_EQ(ApplyTo17(builder.Bytes(), 400, &map, 1), NativeResult::kApplied);
    EXPECT_EQ(map.bytes[24 + 1] >> 2 & 3, c.left) << int{c.rmid} << " " << int{c.info};
    EXPECT_EQ(map.bytes[24 + 1] & 0xf3, 0xf3);
    EXPECT_EQ(PageView(map.bytes).lsn(), Lsn(400));
    // A second time there is nothing to clear, and the page keeps its LSN.
    const TestPage before = map;
    ASSERT_EQ(ApplyTo17(builder.Bytes(), 500, &map, 1), NativeResult::kApplied);
    EXPECT_EQ(std::memcmp(&map, &before, sizeof(map)), 0);
    // Without its flag the record does something else to the map, which this engine leaves alone.
    Fields other;
    for (const uint8_t byte : c.main.bytes()) other.U8(byte == 1 ? 0 : byte);
    builder.Main(other);
    EXPECT_EQ(ApplyTo17(builder.Bytes(), 600, &map, 1), NativeResult::kUnsupported);
    // For the server a map's page of zeroes is not there.
    TestPage zeroes;
    EXPECT_EQ(ApplyTo17(RecordBuilder(c.rmid, c.info)
                            .Block(0, 5, Fields().U8(1))
                            .Block(1, 0, {}, false, kVisibilityMapFork)
                            .Main(c.main)
                            .Bytes(),
                        400, &zeroes, 1),
              NativeResult::kMalformed);
  }
}

RecordBuilder Update(uint8_t flags, uint32_t new_block, std::optional<uint32_t> old_block,
                     std::optional<uint32_t> new_map, std::optional<uint32_t> old_map) {
  RecordBuilder builder(kRmHeap, 0x20);
  builder.Block(0, new_block, Fields().U8(0));
  if (old_block) builder.Block(1, *old_block);
  if (new_map) builder.Block(2, *new_map, {}, false, kVisibilityMapFork);
  if (old_map) builder.Block(3, *old_map, {}, false, kVisibilityMapFork);
  return builder.Main(Fields().U32(7).U16(1).U8(0).U8(flags).U32(0).U16(2));
}

TEST(NativeClearMap, AnUpdateMayNameTwoPages) {
  constexpr uint32_t kMapBlocks = (kBlockSize - 24) * 4;
  const auto left = [](const RecordBuilder& update, int id) {
    TestPage map = FullMap(100);
    EXPECT_EQ(ApplyTo17(update.Bytes(), 400, &map, id), NativeResult::kApplied);
    return LoadNative<uint32_t>(map.bytes + 24);
  };
  // Both tuples on one page, or on two that share a page of the map.
  EXPECT_EQ(left(Update(3, 5, std::nullopt, 0, std::nullopt), 2), 0xfffff3ffu);
  EXPECT_EQ(left(Update(3, 5, 1, 0, std::nullopt), 2), 0xfffff3f3u);
  EXPECT_EQ(left(Update(2, 5, 1, 0, std::nullopt), 2), 0xfffff3ffu);
  // Only the old page's bits were set.
  EXPECT_EQ(left(Update(3, 5, 1, std::nullopt, 0), 3), 0xfffffff3u);
  EXPECT_EQ(left(Update(1, 5, std::nullopt, std::nullopt, 0), 3), 0xfffff3ffu);
  // Two pages of the map.
  const RecordBuilder far = Update(3, kMapBlocks + 1, 2, 1, 0);
  EXPECT_EQ(left(far, 2), 0xfffffff3u);
  EXPECT_EQ(left(far, 3), 0xffffffcfu);
  // A page of the map that has other blocks.
  TestPage map = FullMap(100);
  EXPECT_EQ(ApplyTo17(Update(3, 5, 1, 1, std::nullopt).Bytes(), 400, &map, 2),
            NativeResult::kMalformed);
}

TEST(NativeClearMap, HeapPagesOfSuchRecordsAreChangedAsEver) {
  TestPage page = ThreeTuples(), same = page;
  Fields data;
  data.U16(1).U16(0x0802).U8(24).U8(0).Text("four");
  const auto insert = [&](bool names_map) {
    RecordBuilder builder(kRmHeap, 0x00);
    builder.Block(0, kBlock, data);
    if (names_map) builder.Block(1, 0, {}, false, kVisibilityMapFork);
    return builder.Main(Fields().U16(4).U8(1)).Bytes();
  };
  ASSERT_EQ(ApplyTo17(insert(false), 400, &page), NativeResult::kApplied);
  ASSERT_EQ(ApplyTo17(insert(true), 400, &same), NativeResult::kApplied);
  EXPECT_EQ(std::memcmp(&page, &same, sizeof(page)), 0);
}

TEST(NativeClearMap, SaysWhichBlocksLoseBits) {
  const auto clears = [](const RecordBuilder& builder, int id) {
    const std::vector<uint8_t> bytes = builder.Bytes();
    RecordView view{kPg17};
    EXPECT_FALSE(view.Parse(bytes));
    return ClearsMap(view, id);
  };
  EXPECT_TRUE(clears(Update(3, 5, 1, 0, std::nullopt), 2));
  EXPECT_FALSE(clears(Update(3, 5, 1, 0, std::nullopt), 0));
  EXPECT_FALSE(clears(Update(0, 5, 1, 0, std::nullopt), 2));
  EXPECT_FALSE(clears(RecordBuilder(kRmHeap2, 0x40)
                          .Block(0, 0, {}, false, kVisibilityMapFork)
                          .Block(1, 5)
                          .Main(Fields().U32(700).U8(3)),
                      0));
}

// See NativeHeap.SurvivesRandomRecordsAndPages.
TEST(NativePruneFreeze, SurvivesRandomRecordsAndPages) {
  std::mt19937 random(20261126);
  const TestPage good = ThreeTuples();
  for (int i = 0; i < 60000; i++) {
    Fields data;
    for (uint32_t n = random() % 40; n > 0; n--) data.U8(static_cast<uint8_t>(random() % 5));
    Fields main = Fields().U8(0).U8(static_cast<uint8_t>(random() & 0xff));
    for (uint32_t n = random() % 8; n > 0; n--) main.U8(static_cast<uint8_t>(random() % 5));
    const auto record = RecordBuilder(kRmHeap2, static_cast<uint8_t>((1 + random() % 3) << 4))
                            .Block(0, kBlock, data)
                            .Main(main)
                            .Bytes();
    TestPage page = good;
    for (uint32_t n = random() % 3; n > 0; n--)
      page.bytes[8 + random() % 40] = static_cast<uint8_t>(random());
    const TestPage before = page;
    if (ApplyTo17(record, 1000, &page) == NativeResult::kUnsupported) {
      ASSERT_EQ(std::memcmp(&page, &before, sizeof(page)), 0);
    }
  }
}

}  // namespace
}  // namespace neon_redo::testing

// Bits of the visibility map, and how verification compares pages.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/verify/compare.h"

namespace neon_redo {
namespace {

using Buffer = std::vector<uint8_t>;

constexpr RelFileNode kRel{1663, 5, 16384};

TEST(VisibilityMap, ClearsTwoBitsOfABlock) {
  Buffer page(kBlockSize, 0xff);
  ClearVisibilityBits(page.data(), 5, kAllFrozenBit);  // byte 1, second pair
  EXPECT_EQ(page[24 + 1], 0xff & ~(2 << 2));
  ClearVisibilityBits(page.data(), 5, kAllVisibilityBits);
  EXPECT_EQ(page[24 + 1], 0xff & ~(3 << 2));
  ClearVisibilityBits(page.data(), kHeapBlocksOnMapPage - 1, kAllVisibilityBits);
  EXPECT_EQ(page[kBlockSize - 1], 0x3f);
  EXPECT_EQ(MapPageOf(kHeapBlocksOnMapPage - 1), 0u);
  EXPECT_EQ(MapPageOf(kHeapBlocksOnMapPage), 1u);
}

TEST(VisibilityMap, ClearsTheTail) {
  for (uint32_t blocks : {1u, 2u, 4u, 7u, kHeapBlocksOnMapPage - 1}) {
    Buffer page(kBlockSize, 0xff), one_by_one(kBlockSize, 0xff);
    ClearVisibilityFrom(page.data(), blocks / 4, static_cast<uint8_t>(blocks % 4 * 2));
    for (uint32_t block = blocks; block < kHeapBlocksOnMapPage; block++)
      ClearVisibilityBits(one_by_one.data(), block, kAllVisibilityBits);
    EXPECT_EQ(page, one_by_one) << blocks;
  }
}

using Page = std::array<uint8_t, kBlockSize>;

Page HeapPage(uint64_t lsn) {
  Page page{};
  const uint16_t header[] = {0, 0, 24, 8192, 8192, 0x2004};  // checksum … pd_pagesize_version
  std::memcpy(page.data() + 8, header, sizeof(header));
  SetPageLsn(page.data(), Lsn(lsn));
  return page;
}

using enum LsnRule;

std::optional<uint32_t> OnDisk(const Page& rebuilt, const Page& disk, uint8_t fork = kMainFork,
                               const AtRest& at_rest = {}) {
  return CompareWithDisk(kRmHeap, {kRel, fork, 0}, at_rest, rebuilt.data(), disk.data());
}

// Whether a page with this LSN is right on disk, where the rebuilt one has 300.
bool Allows(LsnRule rule, uint64_t lsn, uint64_t disk, HintLogging hints = HintLogging::kChanged) {
  return !OnDisk(HeapPage(300), HeapPage(disk), kMainFork, {{rule, Lsn(lsn)}, Lsn(500), hints});
}

TEST(CompareWithDisk, TheLsnCounts) {
  EXPECT_FALSE(OnDisk(HeapPage(100), HeapPage(100)));
  EXPECT_EQ(OnDisk(HeapPage(100), HeapPage(101)), 4u);
  EXPECT_FALSE(OnDisk(HeapPage(100), HeapPage(0), kInitFork));
  EXPECT_TRUE(OnDisk(HeapPage(100), HeapPage(50), kInitFork));
}

TEST(CompareWithDisk, HintsNeedNotMoveTheLsn) {
  EXPECT_TRUE(Allows(kEarlier, 200, 300));
  EXPECT_TRUE(Allows(kEarlier, 200, 250));
  EXPECT_TRUE(Allows(kEarlier, 200, 200));
  EXPECT_FALSE(Allows(kEarlier, 200, 199));
  EXPECT_FALSE(Allows(kEarlier, 200, 301));
  Page other = HeapPage(250);
  other[12] = 28;  // pd_lower
  EXPECT_TRUE(OnDisk(HeapPage(300), other, kMainFork, {{kEarlier, Lsn(200)}, Lsn(500)}));
}

TEST(CompareWithDisk, ARecordMayMoveTheServersLsnAlone) {
  EXPECT_TRUE(Allows(kLater, 400, 300));
  EXPECT_TRUE(Allows(kLater, 400, 400));
  EXPECT_FALSE(Allows(kLater, 400, 350));
  EXPECT_FALSE(Allows(kLater, 400, 400, HintLogging::kNever));
  EXPECT_TRUE(Allows(kUpTo, 400, 350));
  EXPECT_FALSE(Allows(kUpTo, 400, 401));
  EXPECT_FALSE(Allows(kUpTo, 400, 299));
  EXPECT_FALSE(Allows(kUpTo, 400, 350, HintLogging::kNever));
  EXPECT_TRUE(Allows(kBetween, 200, 250));
  EXPECT_TRUE(Allows(kBetween, 200, 450));
  EXPECT_FALSE(Allows(kBetween, 200, 501));
  EXPECT_FALSE(Allows(kBetween, 200, 199));
}

TEST(CompareWithDisk, WhereHintsAreAlwaysLoggedOnlyTheRecordsLsnIsRight) {
  EXPECT_TRUE(Allows(kMoved, 400, 400, HintLogging::kAlways));
  EXPECT_FALSE(Allows(kMoved, 400, 300, HintLogging::kAlways));
  EXPECT_TRUE(Allows(kMoved, 400, 300, HintLogging::kChanged));
  EXPECT_TRUE(Allows(kMoved, 200, 300, HintLogging::kAlways));  // the base was newer
}

TEST(CompareWithDisk, APageOfASortedBuildIsOldOnlyUntilItIsChanged) {
  Page page = HeapPage(1);
  page[16] = page[14] = 0xf0, page[17] = page[15] = 0x1f;  // pd_special, pd_upper: 8176
  Page rebuilt = page;
  SetPageLsn(rebuilt.data(), Lsn(300));
  const auto compare = [&](bool only_images) {
    return CompareWithDisk(kRmGist, {kRel, kMainFork, 0},
                           {{}, Lsn(300), HintLogging::kChanged, only_images}, rebuilt.data(),
                           page.data());
  };
  EXPECT_FALSE(compare(true));
  EXPECT_TRUE(compare(false));
}

// F_TUPLES_DELETED, which no server reads.
TEST(Compare, AGistFlagOfTheMinorReleaseDoesNotCount) {
  Page rebuilt = HeapPage(300);
  rebuilt[16] = rebuilt[14] = 0xf0, rebuilt[17] = rebuilt[15] = 0x1f;  // pd_special, pd_upper
  Page other = rebuilt;
  other[8188] = 0x04;
  const BlockTag tag{kRel, kMainFork, 0};
  EXPECT_FALSE(CompareWithDisk(kRmGist, tag, {}, rebuilt.data(), other.data()));
  Page masked = rebuilt;
  EXPECT_FALSE(CompareWithImage(kRmGist, tag, masked.data(), other.data()));
  other[8188] = 0x06;  // F_DELETED
  EXPECT_EQ(CompareWithDisk(kRmGist, tag, {}, rebuilt.data(), other.data()), 8188u);
  EXPECT_EQ(CompareWithImage(kRmGist, tag, rebuilt.data(), other.data()), 8188u);
}

TEST(ToleratedLsn, AddsUpWhatRecordsAllow) {
  ToleratedLsn tolerated;
  tolerated.MayMoveTo(Lsn(400));
  EXPECT_EQ(tolerated.rule, kLater);
  tolerated.MayMoveTo(Lsn(500));
  EXPECT_EQ(tolerated.rule, kUpTo);
  EXPECT_EQ(tolerated.lsn, Lsn(500));
  tolerated = {kEarlier, Lsn(100)};
  tolerated.MayMoveTo(Lsn(400));
  EXPECT_EQ(tolerated.rule, kBetween);
  EXPECT_EQ(tolerated.lsn, Lsn(100));
}

TEST(ToleratedLsn, NothingThatIsAllowedIsEarlier) {
  EXPECT_EQ(ToleratedLsn{}.Earliest(Lsn(500)), Lsn(500));
  EXPECT_EQ(ToleratedLsn{}.Earliest(Lsn()), Lsn(1));
  for (const LsnRule rule : {kEarlier, kBetween}) {
    EXPECT_EQ((ToleratedLsn{rule, Lsn(100)}.Earliest(Lsn(500))), Lsn(100));
    EXPECT_EQ((ToleratedLsn{rule, Lsn(100)}.Earliest(Lsn(50))), Lsn(50));
  }
  for (const LsnRule rule : {kLater, kUpTo, kMoved})
    EXPECT_EQ((ToleratedLsn{rule, Lsn(400)}.Earliest(Lsn(500))), Lsn(1));
}

TEST(CompareWithDisk, FreeSpaceOfAHeapPageIsAllOfAMapPage) {
  Page disk = HeapPage(100);
  disk[5000] = 1;
  EXPECT_FALSE(OnDisk(HeapPage(100), disk));
  EXPECT_EQ(OnDisk(HeapPage(100), disk, kVisibilityMapFork), 5000u);
}

}  // namespace
}  // namespace neon_redo

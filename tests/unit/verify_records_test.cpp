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

std::optional<uint32_t> OnDisk(Page rebuilt, Page disk, uint8_t fork = kMainFork, Lsn hint = {}) {
  return CompareWithDisk(kRmHeap, {kRel, fork, 0}, hint, rebuilt.data(), disk.data());
}

TEST(CompareWithDisk, TheLsnCountsUnlessItIsAHints) {
  EXPECT_FALSE(OnDisk(HeapPage(100), HeapPage(100)));
  EXPECT_EQ(OnDisk(HeapPage(100), HeapPage(101)), 4u);
  EXPECT_FALSE(OnDisk(HeapPage(100), HeapPage(200), kMainFork, Lsn(200)));
  EXPECT_TRUE(OnDisk(HeapPage(100), HeapPage(150), kMainFork, Lsn(200)));
  EXPECT_FALSE(OnDisk(HeapPage(300), HeapPage(200), kMainFork, Lsn(200)));
  EXPECT_FALSE(OnDisk(HeapPage(300), HeapPage(250), kMainFork, Lsn(200)));
  EXPECT_EQ(OnDisk(HeapPage(300), HeapPage(199), kMainFork, Lsn(200)), 4u);
  EXPECT_EQ(OnDisk(HeapPage(300), HeapPage(301), kMainFork, Lsn(200)), 4u);
  Page other = HeapPage(250);
  other[12] = 28;  // pd_lower
  EXPECT_TRUE(OnDisk(HeapPage(300), other, kMainFork, Lsn(200)));
  EXPECT_FALSE(OnDisk(HeapPage(100), HeapPage(0), kInitFork));
}

TEST(CompareWithDisk, FreeSpaceOfAHeapPageIsAllOfAMapPage) {
  Page disk = HeapPage(100);
  disk[5000] = 1;
  EXPECT_FALSE(OnDisk(HeapPage(100), disk));
  EXPECT_EQ(OnDisk(HeapPage(100), disk, kVisibilityMapFork), 5000u);
}

}  // namespace
}  // namespace neon_redo

// The page server's own records. The expected pages are computed bit by bit from the layouts in
// PostgreSQL's headers, the long way round, and compared whole.
#include "neon_redo/page_server_record.h"

#include <gtest/gtest.h>

#include <random>

#include "cpp_core/pg/page.h"

namespace neon_redo {
namespace {

using Page = std::vector<uint8_t>;

const Lsn kLsn(0x1234567890);

Page Filled(uint8_t byte) { return Page(kBlockSize, byte); }

Page RandomPage(std::mt19937* random) {
  Page page(kBlockSize);
  for (uint8_t& byte : page) byte = static_cast<uint8_t>((*random)());
  return page;
}

PageKey Map(uint32_t block) {
  return PageKey::OfBlock({{1663, 5, 16384}, kVisibilityMapFork, block});
}
PageKey Slru(SlruKind kind, uint32_t page) {
  return PageKey::OfSlruBlock({kind, page / 32, page % 32});
}

void SetBit(Page* page, size_t bit, bool to) {
  uint8_t& byte = (*page)[bit / 8];
  byte = static_cast<uint8_t>((byte & ~(1 << bit % 8)) | (to ? 1 << bit % 8 : 0));
}

void ExpectApplied(const PageServerRecord& record, const PageKey& key, Page page,
                   const Page& expected) {
  const Status status = ApplyPageServerRecord(record, kLsn, key, &page);
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(page, expected) << DescribePageServerRecord(record);
}

void ExpectRefused(const PageServerRecord& record, const PageKey& key, Page page, const char* why) {
  const Page before = page;
  const Status status = ApplyPageServerRecord(record, kLsn, key, &page);
  ASSERT_FALSE(status) << DescribePageServerRecord(record);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(status.error().message.find(why), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().message.find(PageServerRecordName(record)), std::string::npos);
  EXPECT_EQ(page, before);
}

// Every bit position of three pages of the commit log, the first and last ones included.
TEST(PageServerRecordsTest, ClogEveryTransactionOfAPage) {
  std::mt19937 random(1);
  const Page noise = RandomPage(&random);
  for (uint32_t page_number : {0u, 1u, 31u, 32u, 0xffffffffu / 32768}) {
    const PageKey key = Slru(SlruKind::kClog, page_number);
    Page committed = noise;
    Page aborted = noise;
    for (uint32_t i = 0; i < 32768; ++i) {
      const uint32_t xid = page_number * 32768 + i;
      SetBit(&committed, 2 * size_t{i}, true);
      SetBit(&committed, 2 * size_t{i} + 1, false);
      SetBit(&aborted, 2 * size_t{i}, false);
      SetBit(&aborted, 2 * size_t{i} + 1, true);
      // One at a time over what the ones before left.
      Page before = noise;
      Page after = noise;
      SetBit(&after, 2 * size_t{i}, false);
      SetBit(&after, 2 * size_t{i} + 1, true);
      ExpectApplied(ClogSetAborted{{xid}}, key, before, after);
      SetBit(&after, 2 * size_t{i}, true);
      SetBit(&after, 2 * size_t{i} + 1, false);
      after.insert(after.end(), {0, 0, 0, 0, 0, 0, 1, 2});
      ExpectApplied(ClogSetCommitted{{xid}, 0x102}, key, before, after);
    }
    std::vector<uint32_t> all(32768);
    for (uint32_t i = 0; i < 32768; ++i) all[i] = page_number * 32768 + i;
    ExpectApplied(ClogSetAborted{all}, key, noise, aborted);
    committed.insert(committed.end(), {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe});
    ExpectApplied(ClogSetCommitted{all, -2}, key, noise, committed);
  }
}

TEST(PageServerRecordsTest, ClogTimestampIsReplacedAndKept) {
  const PageKey key = Slru(SlruKind::kClog, 0);
  Page page = Filled(0);
  ASSERT_TRUE(ApplyPageServerRecord(ClogSetCommitted{{3}, 1}, kLsn, key, &page));
  ASSERT_TRUE(ApplyPageServerRecord(ClogSetCommitted{{4}, 0x0102030405060708}, kLsn, key, &page));
  ASSERT_TRUE(ApplyPageServerRecord(ClogSetAborted{{5}}, kLsn, key, &page));
  ASSERT_TRUE(ApplyPageServerRecord(ClogSetCommitted{{}, 0x0102030405060708}, kLsn, key, &page));
  Page expected = Filled(0);
  expected[0] = 1 << 6;
  expected[1] = 1 | 2 << 2;
  expected.insert(expected.end(), {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(page, expected);
}

TEST(PageServerRecordsTest, ClogRefusesOtherPages) {
  for (const PageServerRecord& record : {PageServerRecord(ClogSetCommitted{{32767, 32768}, 1}),
                                         PageServerRecord(ClogSetAborted{{32767, 32768}})}) {
    for (uint32_t page : {0u, 1u, 2u, 32u}) {
      ExpectRefused(record, Slru(SlruKind::kClog, page), Filled(0), "transaction 32");
    }
    ExpectRefused(record, Slru(SlruKind::kMultixactOffsets, 0), Filled(0), "clog");
    ExpectRefused(record, Map(0), Filled(0), "clog");
  }
  for (size_t size : {0, 1, 8191, 8193, 8199, 8201, 16384}) {
    ExpectRefused(ClogSetAborted{{3}}, Slru(SlruKind::kClog, 0), Page(size), "bytes");
  }
  // The same block number in another segment, the highest transaction.
  ExpectRefused(ClogSetAborted{{0xffffffff}}, Slru(SlruKind::kClog, 31), Filled(0),
                "block 31 of segment 0FFF");
  ExpectApplied(ClogSetAborted{{}}, Slru(SlruKind::kClog, 9), Filled(3), Filled(3));
}

TEST(PageServerRecordsTest, MultixactOffsetsEveryEntryOfAPage) {
  for (uint32_t page_number : {0u, 1u, 31u, 32u, 0xffffffffu / 2048}) {
    const PageKey key = Slru(SlruKind::kMultixactOffsets, page_number);
    for (uint32_t i = 0; i < 2048; ++i) {
      const uint32_t multixact = page_number * 2048 + i;
      Page expected = Filled(0x5a);
      const uint32_t offset = 0x01020304 + i;
      for (size_t byte = 0; byte < 4; ++byte) {
        expected[size_t{i} * 4 + byte] = static_cast<uint8_t>(offset >> 8 * byte);
      }
      ExpectApplied(MultixactOffsetCreate{multixact, offset}, key, Filled(0x5a), expected);
      if (page_number > 0) {
        ExpectRefused(MultixactOffsetCreate{multixact - 2048, offset}, key, Filled(0), "multixact");
      }
    }
  }
  ExpectRefused(MultixactOffsetCreate{1, 1}, Slru(SlruKind::kClog, 0), Filled(0), "offsets");
  ExpectRefused(MultixactOffsetCreate{1, 1}, Slru(SlruKind::kMultixactOffsets, 0), Page(8200),
                "8200 bytes");
}

// Where PostgreSQL puts member number n: MXOffsetToFlagsOffset and MXOffsetToMemberOffset.
void PutMember(Page* page, uint32_t n, uint32_t xid, uint32_t status) {
  const size_t group = n / 4 % 409;
  (*page)[group * 20 + n % 4] = static_cast<uint8_t>(status);
  for (size_t byte = 0; byte < 4; ++byte) {
    (*page)[group * 20 + 4 + n % 4 * 4 + byte] = static_cast<uint8_t>(xid >> 8 * byte);
  }
}

TEST(PageServerRecordsTest, MultixactMembersEveryEntryOfAPage) {
  std::mt19937 random(3);
  const uint32_t last = 0xffffffffu / 1636;
  for (uint32_t page_number : {0u, 1u, 31u, 32u, last}) {
    const PageKey key = Slru(SlruKind::kMultixactMembers, page_number);
    for (uint32_t i = 0; i < 1636; ++i) {
      const uint64_t first = uint64_t{page_number} * 1636 + i;
      if (first > 0xffffffffu) break;
      const uint32_t room =
          static_cast<uint32_t>(std::min<uint64_t>(1636 - i, 0x100000000u - first));
      const Page before = RandomPage(&random);
      Page expected = before;
      MultixactMembersCreate create{static_cast<uint32_t>(first), {}};
      const uint32_t count =
          i == 0 ? room : 1 + static_cast<uint32_t>(random()) % std::min(room, 9u);
      for (uint32_t k = 0; k < count; ++k) {
        create.members.push_back(
            {static_cast<uint32_t>(random()), static_cast<uint32_t>(random() % 6)});
        PutMember(&expected, static_cast<uint32_t>(first) + k, create.members.back().xid,
                  create.members.back().status);
      }
      ExpectApplied(create, key, before, expected);
      // One member more than the page has room for.
      create.members.resize(room + 1);
      ExpectRefused(create, key, before, "member");
    }
  }
}

TEST(PageServerRecordsTest, MultixactMembersRefusesWhatCannotBe) {
  const PageKey key = Slru(SlruKind::kMultixactMembers, 0);
  ExpectRefused(MultixactMembersCreate{1, {{7, 6}}}, key, Filled(0), "status 6");
  ExpectRefused(MultixactMembersCreate{1, {{7, 1}}}, Slru(SlruKind::kMultixactOffsets, 0),
                Filled(0), "multixact_members");
  ExpectRefused(MultixactMembersCreate{1, {{7, 1}}}, key, Page(100), "100 bytes");
}

// A page of the map that is not new: pd_upper is set.
Page MapPage(uint8_t fill) {
  Page page = Filled(fill);
  page[15] = 0x20;
  return page;
}

TEST(PageServerRecordsTest, VisibilityMapEveryHeapBlockAndFlag) {
  for (uint32_t map_block : {0u, 1u, 0xffffffffu / 32672}) {
    for (uint32_t i = 0; i < 32672; ++i) {
      const uint64_t heap = uint64_t{map_block} * 32672 + i;
      if (heap > 0xfffffffe) break;
      const uint8_t flags = static_cast<uint8_t>(i % 7 % 4);
      Page expected = MapPage(0xff);
      for (size_t flag = 0; flag < 2; ++flag) {
        if (flags >> flag & 1) SetBit(&expected, 24 * 8 + 2 * size_t{i} + flag, false);
      }
      SetPageLsn(expected.data(), kLsn);
      const auto block = static_cast<uint32_t>(heap);
      ExpectApplied(ClearVisibilityMapFlags{block, {}, flags}, Map(map_block), MapPage(0xff),
                    expected);
      ExpectApplied(ClearVisibilityMapFlags{{}, block, flags}, Map(map_block), MapPage(0xff),
                    expected);
      ExpectApplied(ClearVisibilityMapFlags{block, block, flags}, Map(map_block), MapPage(0xff),
                    expected);
    }
  }
  Page expected = MapPage(0xff);
  SetPageLsn(expected.data(), kLsn);
  for (uint8_t flags = 1; flags < 4; ++flags) {
    expected[24] = static_cast<uint8_t>(~(flags << 2));
    expected[8191] = static_cast<uint8_t>(~(flags << 6));
    ExpectApplied(ClearVisibilityMapFlags{1, 32671, flags}, Map(0), MapPage(0xff), expected);
  }
}

TEST(PageServerRecordsTest, VisibilityMapRefusesOtherBlocks) {
  const Page page = MapPage(0xff);
  ExpectRefused(ClearVisibilityMapFlags{32672, {}, 3}, Map(0), page,
                "heap block 32672 is on block 1");
  ExpectRefused(ClearVisibilityMapFlags{5, 32672, 3}, Map(0), page, "heap block 32672");
  ExpectRefused(ClearVisibilityMapFlags{32671, {}, 3}, Map(1), page, "block 0 of the map");
  ExpectRefused(ClearVisibilityMapFlags{1, {}, 4}, Map(0), page, "flags");
  ExpectRefused(ClearVisibilityMapFlags{1, {}, 3},
                PageKey::OfBlock({{1663, 5, 16384}, kMainFork, 0}), page, "visibility map fork");
  ExpectRefused(ClearVisibilityMapFlags{1, {}, 3}, Slru(SlruKind::kClog, 0), page,
                "visibility map");
  ExpectRefused(ClearVisibilityMapFlags{1, {}, 3}, Map(0), Page(8200), "8200 bytes");
}

TEST(PageServerRecordsTest, VisibilityMapPagesThatAreNewGetNoLsn) {
  Page expected = Filled(0);
  ExpectApplied(ClearVisibilityMapFlags{1, {}, 3}, Map(0), Filled(0), expected);
  ExpectApplied(TruncateVisibilityMap{0, 0}, Map(0), Filled(0), expected);
}

TEST(PageServerRecordsTest, TruncateEveryBitOfTheMap) {
  for (uint32_t byte = 0; byte < 8168; ++byte) {
    for (uint8_t bit : {0, 2, 4, 6}) {
      Page expected = MapPage(0xff);
      for (size_t i = 24 * 8 + size_t{byte} * 8 + bit; i < kBlockSize * 8; ++i) {
        SetBit(&expected, i, false);
        if (i % 8 == 7) {
          std::fill(expected.begin() + static_cast<ptrdiff_t>(i / 8) + 1, expected.end(), 0);
          break;
        }
      }
      SetPageLsn(expected.data(), kLsn);
      ExpectApplied(TruncateVisibilityMap{byte, bit}, Map(7), MapPage(0xff), expected);
    }
  }
  ExpectRefused(TruncateVisibilityMap{8168, 0}, Map(0), MapPage(0xff), "byte 8168");
  ExpectRefused(TruncateVisibilityMap{0xffffffff, 0}, Map(0), MapPage(0xff), "byte 4294967295");
  ExpectRefused(TruncateVisibilityMap{0, 1}, Map(0), MapPage(0xff), "bit 1");
  ExpectRefused(TruncateVisibilityMap{0, 8}, Map(0), MapPage(0xff), "bit 8");
  ExpectRefused(TruncateVisibilityMap{0, 0}, Slru(SlruKind::kClog, 0), MapPage(0xff),
                "visibility map");
}

}  // namespace
}  // namespace neon_redo

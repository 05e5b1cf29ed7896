// What verification reads out of records besides their block references, and how it compares.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/verify/compare.h"
#include "cpp_core/verify/storage_events.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using Buffer = std::vector<uint8_t>;

template <typename T>
void Put(Buffer* out, T value) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  out->insert(out->end(), p, p + sizeof(value));
}

template <typename... T>
Buffer Data(T... values) {
  Buffer out;
  (Put(&out, values), ...);
  return out;
}

constexpr RelFileNode kRel{1663, 5, 16384};

// A record with references to these blocks of kRel, without images, and main data.
Buffer Record(uint8_t rmid, uint8_t info, const std::vector<uint32_t>& blocks, const Buffer& main,
              uint8_t block_flags = 0) {
  Buffer out(kRecordHeaderSize);
  uint8_t id = 0;
  for (uint32_t block : blocks) {
    Put<uint8_t>(&out, id++);
    Put<uint8_t>(&out, block_flags);
    Put<uint16_t>(&out, 0);
    Put(&out, kRel);
    Put(&out, block);
  }
  if (!main.empty()) {
    Put<uint8_t>(&out, 255);
    Put<uint8_t>(&out, static_cast<uint8_t>(main.size()));
    out.insert(out.end(), main.begin(), main.end());
  }
  RecordHeader header{};
  header.total_length = static_cast<uint32_t>(out.size());
  header.info = info;
  header.rmid = rmid;
  std::memcpy(out.data(), &header, sizeof(header));
  return out;
}

std::vector<StorageEvent> Events(const Buffer& record) {
  RecordView view(kPg15);
  EXPECT_FALSE(view.Parse(record));
  std::vector<StorageEvent> events;
  EXPECT_TRUE(ReadStorageEvents(view, &events));
  return events;
}

TEST(StorageEvents, CreateAndTruncate) {
  auto events = Events(Record(kRmSmgr, 0x10, {}, Data(kRel, uint32_t{3})));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, StorageEvent::kCreateFork);
  EXPECT_EQ(events[0].rel, kRel);
  EXPECT_EQ(events[0].fork, kInitFork);

  events = Events(Record(kRmSmgr, 0x20, {}, Data(uint32_t{77}, kRel, uint32_t{7})));
  ASSERT_EQ(events.size(), 2u);
  for (const StorageEvent& event : events) {
    EXPECT_EQ(event.kind, StorageEvent::kTruncateFork);
    EXPECT_EQ(event.block, 77u);
  }
  EXPECT_EQ(events[0].fork, kVisibilityMapFork);
  EXPECT_EQ(events[1].fork, kMainFork);
}

TEST(StorageEvents, CommitAndAbortDropRelations) {
  const RelFileNode other{1663, 5, 9};
  // time; database, subtransactions, relations
  const Buffer main = Data(uint64_t{1}, uint32_t{7}, uint64_t{2}, uint32_t{1}, uint32_t{99},
                           uint32_t{2}, kRel, other);
  for (uint8_t op : {0x00, 0x20, 0x30, 0x40}) {
    auto events = Events(Record(kRmXact, op | 0x80, {}, main));
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].kind, StorageEvent::kDropRelation);
    EXPECT_EQ(events[0].rel, kRel);
    EXPECT_EQ(events[1].rel, other);
  }
  EXPECT_TRUE(Events(Record(kRmXact, 0x00, {}, Data(uint64_t{1}))).empty());
  EXPECT_TRUE(Events(Record(kRmXact, 0x10 | 0x80, {}, main)).empty());  // PREPARE
}

TEST(StorageEvents, Databases) {
  auto events = Events(
      Record(kRmDbase, 0x00, {}, Data(uint32_t{8}, uint32_t{1663}, uint32_t{1}, uint32_t{2})));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, StorageEvent::kCopyDatabase);
  EXPECT_EQ(events[0].rel, (RelFileNode{1663, 8, 0}));
  events = Events(Record(kRmDbase, 0x20, {}, Data(uint32_t{8}, uint32_t{2}, uint32_t{1663}, 777u)));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].kind, StorageEvent::kDropDatabase);
  EXPECT_EQ(events[1].rel, (RelFileNode{777, 8, 0}));
}

TEST(StorageEvents, VisibilityBits) {
  using E = StorageEvent;
  const auto expect = [](const Buffer& record, std::vector<std::pair<E::Kind, uint32_t>> wanted) {
    auto events = Events(record);
    ASSERT_EQ(events.size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); i++) {
      EXPECT_EQ(events[i].kind, wanted[i].first);
      EXPECT_EQ(events[i].block, wanted[i].second);
      EXPECT_EQ(events[i].fork, kVisibilityMapFork);
    }
  };
  const Buffer at7_set = Data(uint32_t{0}, uint16_t{1}, uint8_t{0}, uint8_t{1}, uint64_t{0});
  const Buffer at7_both = Data(uint32_t{0}, uint16_t{1}, uint8_t{0}, uint8_t{3}, uint64_t{0});
  const Buffer at7_clear = Data(uint32_t{0}, uint16_t{1}, uint8_t{1}, uint8_t{0}, uint64_t{0});
  expect(Record(kRmHeap, 0x00, {5}, Data(uint16_t{1}, uint8_t{1})), {{E::kClearVisible, 5}});
  expect(Record(kRmHeap, 0x80, {5}, Data(uint16_t{1}, uint8_t{0x0a})), {});
  expect(Record(kRmHeap, 0x10, {6}, at7_set), {{E::kClearVisible, 6}});
  expect(Record(kRmHeap, 0x10, {6}, at7_clear), {});
  // Update: block 0 is the new page, block 1 the old one.
  expect(Record(kRmHeap, 0x20, {7, 8}, at7_both), {{E::kClearVisible, 8}, {E::kClearVisible, 7}});
  expect(Record(kRmHeap, 0x20, {7, 8}, at7_set), {{E::kClearVisible, 8}});
  expect(Record(kRmHeap, 0x40, {7}, at7_set), {{E::kClearVisible, 7}});
  expect(Record(kRmHeap, 0x60, {9}, at7_set), {{E::kClearAllFrozen, 9}});
  expect(Record(kRmHeap2, 0x50, {3}, Data(uint8_t{1}, uint8_t{0}, uint16_t{0})),
         {{E::kClearVisible, 3}});
  expect(Record(kRmHeap2, 0x60, {4}, at7_set), {{E::kClearAllFrozen, 4}});
}

TEST(StorageEvents, ShortAndRandomDataIsRefusedNotRead) {
  std::mt19937 random(1);
  RecordView view(kPg15);
  std::vector<StorageEvent> events;
  int refused = 0;
  for (int i = 0; i < 20000; i++) {
    Buffer main(random() % 40);
    for (uint8_t& byte : main) byte = random() % 3 ? random() : 0;
    constexpr uint8_t kRmgrs[] = {kRmXact, kRmSmgr, kRmDbase, kRmHeap, kRmHeap2};
    const Buffer record =
        Record(kRmgrs[random() % 5], random() & 0xf0,
               random() % 2 ? std::vector<uint32_t>{1} : std::vector<uint32_t>{}, main);
    ASSERT_FALSE(view.Parse(record));
    refused += !ReadStorageEvents(view, &events);
  }
  EXPECT_GT(refused, 1000);
}

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
    ClearVisibilityFrom(page.data(), kHeapBlocksOnMapPage + blocks);  // of the second map page
    for (uint32_t block = blocks; block < kHeapBlocksOnMapPage; block++)
      ClearVisibilityBits(one_by_one.data(), block, kAllVisibilityBits);
    EXPECT_EQ(page, one_by_one) << blocks;
  }
  EXPECT_TRUE(MapPageIsCut(1));
  EXPECT_FALSE(MapPageIsCut(2 * kHeapBlocksOnMapPage));
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

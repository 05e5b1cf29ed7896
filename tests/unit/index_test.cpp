// What the index has, against a plain list of what each record concerns.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "cpp_core/index/collector.h"
#include "cpp_core/index/entry.h"
#include "cpp_core/index/indexed_changes.h"
#include "tests/unit/index_fixture.h"
#include "tests/unit/native_record.h"

namespace neon_redo {
namespace {

TEST(IndexEntry, IsTheSameAfterDecoding) {
  std::mt19937_64 random(1);
  for (const EntryKind kind : {EntryKind::kRecord, EntryKind::kSize, EntryKind::kCommit}) {
    for (int round = 0; round < 200; round++) {
      std::vector<IndexEntry> entries;
      std::string bytes;
      IndexEntry last{.start = Lsn(random() >> random() % 50 << 3)};
      const Lsn start = last.start;
      for (size_t i = 0; i == 0 || i < random() % 20; i++) {
        IndexEntry entry{.start = last.start + (random() >> (30 + random() % 30) << 3)};
        if (kind == EntryKind::kRecord) entry.makes_whole = random() % 2;
        if (kind == EntryKind::kSize)
          entry.size = {random() % 9, random() % 2 ? random() % 9 : UINT32_MAX};
        if (kind == EntryKind::kCommit)
          entry.xid = static_cast<uint32_t>(random()), entry.time = static_cast<int64_t>(random());
        EncodeEntry(kind, entry, last, &bytes);
        entries.push_back(last = entry);
      }
      std::vector<IndexEntry> decoded;
      const Bytes all(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
      ASSERT_TRUE(DecodeEntries(kind, start, all, &decoded));
      ASSERT_EQ(decoded, entries);
      for (char& c : bytes)
        if (random() % 4 == 0) c = static_cast<char>(random());
      decoded.clear();
      static_cast<void>(DecodeEntries(kind, start, all, &decoded));
    }
    // A part has an entry: who reads it looks at the first.
    std::vector<IndexEntry> none;
    EXPECT_FALSE(DecodeEntries(kind, Lsn(8), {}, &none));
  }
}

TEST_F(IndexTest, HasWhatEachRecordConcerns) {
  for (const size_t segments : {1u, 3u, 6u}) {
    Write(static_cast<uint32_t>(segments), segments);
    const Entries expected = Expected();
    ASSERT_GT(expected.size(), 40u);
    for (int round = 0; round < 2; round++) {
      const auto index = Open(2);
      ASSERT_TRUE(index) << index.error().message;
      EXPECT_EQ((*index)->counts().built, round == 0 ? segments : 0) << segments;
      Compare(index->get(), expected, static_cast<uint32_t>(segments));
    }
    std::filesystem::remove_all(index_.path() + "/a");
  }
}

TEST_F(IndexTest, SizesFollowFromRecords) {
  Write(7, 6);
  const auto index = Open();
  ASSERT_TRUE(index);
  CompareSizes(index->get());
  const auto merged = OpenMerged();
  ASSERT_TRUE(merged);
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-7", "8"}));
  CompareSizes(merged->get());
}

// What has no room in memory is put aside, and nothing of it is left.
TEST_F(IndexTest, LittleMemoryIsEnough) {
  Write(9, 3);
  const size_t descriptors = CountEntries("/proc/self/fd");
  const auto set = WalSet::Open(wal_.path());
  const auto index =
      WalIndex::Open(*set, {}, {.directory = index_.path() + "/a/b", .memory = 100'000});
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(Files().size(), 3u);
  EXPECT_LT(CountEntries("/proc/self/fd"), descriptors + 10);
  Compare(index->get(), Expected(), 1);
  CompareSizes(index->get());
}

TEST_F(IndexTest, CommitsHaveTimeAndTransaction) {
  Write(8, 1);
  const auto index = Open();
  ASSERT_TRUE(index);
  const auto commits = (*index)->GetAll(kCommitsKey, Lsn(), Lsn(~uint64_t{0}));
  ASSERT_TRUE(commits);
  ASSERT_GT(commits->size(), 100u);
  for (const IndexEntry& entry : *commits) EXPECT_EQ(entry.xid, 700u);
}

// WAL as it grows, with an index of what was there before.
TEST_F(IndexTest, GrowsWithTheWal) {
  for (const size_t segments : {1u, 2u, 4u}) {
    Write(3, segments);
    const auto index = Open();
    ASSERT_TRUE(index) << index.error().message;
    Compare(index->get(), Expected(), 1);
  }
}

TEST_F(IndexTest, ARangeUsesTheFilesOfTheWhole) {
  Write(14, 5);
  ASSERT_TRUE(Open(1, 2 * kSize));
  const auto set = WalSet::Open(wal_.path());
  const Entries expected = Expected();
  for (uint64_t lsn = 3 * kSize; lsn < 8 * kSize; lsn += kSize / 4) {
    const auto index = WalIndex::Open(*set, {.from = Lsn(3 * kSize), .to = Lsn(lsn)},
                                      {.directory = index_.path() + "/a/b", .group = 2 * kSize});
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().built, 0u) << lsn;
    // Records that end after the range can be read.
    IndexedChanges changes(index->get(), Lsn(), true);
    for (const auto& [key, all] : expected) {
      const auto got = changes.Get(key, Lsn(lsn));
      ASSERT_TRUE(got) << got.error().message;
    }
  }
  const auto late = WalIndex::Open(*set, {.from = Lsn(5 * kSize + 1000)},
                                   {.directory = index_.path() + "/a/b", .group = 2 * kSize});
  ASSERT_TRUE(late);
  EXPECT_EQ((*late)->counts().built, 0u);
}

TEST(Collector, TakesNoBlockThatCannotBe) {
  std::vector<uint8_t> page(kBlockSize, 1);
  Collector collector{Lsn(0)};
  RecordView view(kPg15);
  Ingest ingest;
  ChangeList changes;
  std::vector<std::vector<uint8_t>> records;
  for (const uint32_t block : {0xffffffffu, 0xfffffffeu}) {
    records.push_back(testing::RecordBuilder(kRmXlog, 0xb0).Image(0, block, page.data()).Bytes());
    ASSERT_FALSE(view.Parse(records.back()));
    ASSERT_FALSE(ingest.Take(view, &changes));
    collector.Take(changes, view, {Lsn(records.size() * 8), Lsn(100), records.back()});
  }
  std::vector<IndexEntry> decoded;
  ASSERT_TRUE(collector.ForEach([&](const PageKey& key, const std::vector<IndexEntry>& entries) {
    std::string bytes;
    EncodeEntry(EntryKindOf(key), entries[0], {.start = entries[0].start}, &bytes);
    return DecodeEntries(EntryKindOf(key), entries[0].start,
                         Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
                         &decoded);
  }));
  EXPECT_EQ(decoded.size(), 2u);  // the page's and the size's
}

}  // namespace
}  // namespace neon_redo

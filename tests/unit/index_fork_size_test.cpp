// Sizes of forks, and catalogs' pages, from a base and an index of WAL.
#include "cpp_core/index/fork_size.h"

#include <gtest/gtest.h>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/index/catalog_pages.h"
#include "cpp_core/index/consistent.h"
#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/pg/rmgr.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr RelFileNode kOld = {1663, 5, 100}, kNew = {1663, 5, 101}, kCopied = {1663, 6, 100};

std::string Numbers(std::initializer_list<uint32_t> numbers) {
  std::string out;
  for (const uint32_t n : numbers) out.append(reinterpret_cast<const char*>(&n), sizeof(n));
  return out;
}

// WAL that truncates one relation to 7 blocks, makes another, and copies and drops a database.
class ForkSizeTest : public ::testing::Test {
 protected:
  ForkSizeTest() {
    WalWriter wal(1 << 20);
    begin_ = wal.Append(kRmXlog, 0x20, 8).start;
    truncated_ = wal.AppendData(kRmSmgr, 0x20, Numbers({7, kOld.spc, kOld.db, kOld.rel, 7}));
    created_ = wal.AppendData(kRmSmgr, 0x10, Numbers({kNew.spc, kNew.db, kNew.rel, 0}));
    copied_ = wal.AppendData(kRmDbase, 0x00, Numbers({kCopied.db, 1663, kOld.db, 1663}));
    dropped_ = wal.AppendData(kRmDbase, 0x20, Numbers({kCopied.db, 1, 1663}));
    wal.Append(kRmXlog, 0x20, 8);
    wal.Save(wal_.path());
    auto index = WalIndex::Open(*WalSet::Open(wal_.path()), {}, {.directory = index_.path()});
    EXPECT_TRUE(index) << index.error().message;
    opened_ = std::move(*index);
    changes_ = std::make_unique<IndexedChanges>(opened_.get(), begin_, false);
  }

  Result<ForkSize> Size(const RelFileNode& rel, Lsn lsn, bool with_base = true) {
    BaseForkSize base;
    if (with_base)
      base = [](const RelFileNode& r, uint8_t fork) -> Result<std::optional<uint32_t>> {
        return r == kOld && fork == kMainFork ? std::optional<uint32_t>(50) : std::nullopt;
      };
    return ForkSizes(opened_.get(), changes_.get(), base, begin_).Read(rel, kMainFork, lsn);
  }
  // Or -1 where there is no such fork, -2 after an error.
  int64_t Blocks(const RelFileNode& rel, Lsn lsn, bool with_base = true) {
    const auto size = Size(rel, lsn, with_base);
    return !size ? -2 : size->blocks ? int64_t{*size->blocks} : -1;
  }

  TempDirectory wal_, index_;
  Lsn begin_;
  WalWriter::Written truncated_, created_, copied_, dropped_;
  std::unique_ptr<WalIndex> opened_;
  std::unique_ptr<IndexedChanges> changes_;
};

TEST_F(ForkSizeTest, ARecordCountsFromItsEndOn) {
  EXPECT_EQ(Blocks(kOld, truncated_.start), 50);
  EXPECT_EQ(Blocks(kOld, truncated_.start + 8), 50);
  EXPECT_EQ(Blocks(kOld, truncated_.end), 7);
  EXPECT_EQ(Blocks(kNew, created_.start + 8), -1);
  EXPECT_EQ(Blocks(kNew, created_.end), 0);
  EXPECT_EQ(Blocks(kCopied, copied_.start + 8), -1);
  EXPECT_EQ(Blocks(kCopied, copied_.end), 7);
  EXPECT_EQ(Blocks(kCopied, dropped_.end), -1);
}

TEST_F(ForkSizeTest, WhyThereIsNone) {
  EXPECT_EQ(Size(kNew, truncated_.end)->absence,
            "the main fork of 1663/5/101 is not there at " + truncated_.end.ToString() +
                ": it is created at " + created_.end.ToString());
  EXPECT_EQ(Size(kCopied, dropped_.end)->absence,
            "the main fork of 1663/6/100 is not there at " + dropped_.end.ToString() +
                ": it was dropped at " + dropped_.end.ToString());
}

TEST_F(ForkSizeTest, WithoutABaseOnlyWhatWalSays) {
  EXPECT_EQ(Blocks(kNew, created_.end, false), 0);
  const auto size = Size(kOld, truncated_.end, false);
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().code, ErrorCode::kNotFound);
  EXPECT_NE(size.error().message.find("a base backup taken before is needed"), std::string::npos);
}

// A database that is removed, and copied to the same place again, has the sizes of its source.
class MovedDatabaseTest : public ::testing::TestWithParam<size_t> {
 protected:
  MovedDatabaseTest() {
    WalWriter wal(1 << 20);
    begin_ = wal.Append(kRmXlog, 0x20, 8).start;
    created_ = wal.AppendData(kRmSmgr, 0x10, Numbers({kCopied.spc, kCopied.db, kCopied.rel, 0}));
    wal.AppendData(kRmDbase, 0x20, Numbers({kCopied.db, 1, 1663}));
    copied_ = wal.AppendData(kRmDbase, 0x00, Numbers({kCopied.db, 1663, kOld.db, 1663}));
    wal.Append(kRmXlog, 0x20, 8);
    truncated_ =
        wal.AppendData(kRmSmgr, 0x20, Numbers({30, kCopied.spc, kCopied.db, kCopied.rel, 7}));
    again_ = wal.AppendData(kRmSmgr, 0x20, Numbers({20, kCopied.spc, kCopied.db, kCopied.rel, 7}));
    ended_ = wal.AppendData(kRmXlog, 0x50, std::string(reinterpret_cast<char*>(&begin_), 8));
    wal.Append(kRmXlog, 0x20, 8);
    wal.Save(wal_.path());
    const auto set = WalSet::Open(wal_.path());
    auto index = WalIndex::Open(*set, {}, {.directory = index_.path(), .memory = GetParam()});
    EXPECT_TRUE(index) << index.error().message;
    opened_ = std::move(*index);
    WorkerOptions worker;
    worker.version = &kPg15;
    BaseContent base{.page = [](const PageKey& key, uint8_t* page) -> Result<bool> {
                       std::fill_n(page, kBlockSize, uint8_t{0});
                       return key.field1 == PageKey::kRelation && key.field6 < 3;
                     },
                     .blocks =
                         [](const RelFileNode& rel, uint8_t fork) {
                           return Result<std::optional<uint32_t>>(rel == kOld && fork == kMainFork
                                                                      ? std::optional<uint32_t>(50)
                                                                      : std::nullopt);
                         }};
    pages_.emplace(opened_.get(), begin_, base, worker);
  }

  uint32_t Blocks(Lsn lsn) {
    pages_->set_lsn(lsn);
    return pages_->Blocks(kCopied).value_or(999);
  }

  TempDirectory wal_, index_;
  Lsn begin_;
  WalWriter::Written created_, copied_, truncated_, again_, ended_;
  std::unique_ptr<WalIndex> opened_;
  std::optional<IndexedPages> pages_;
};

TEST_P(MovedDatabaseTest, SizesBeginWithTheDatabase) {
  EXPECT_EQ(Blocks(created_.end), 0u);
  EXPECT_EQ(Blocks(copied_.end), 50u);
  EXPECT_EQ(Blocks(truncated_.start), 50u);
  EXPECT_EQ(Blocks(truncated_.start + 8), 50u);  // within the record
  EXPECT_EQ(Blocks(truncated_.end), 30u);
  EXPECT_EQ(Blocks(again_.end), 20u);
}

TEST_P(MovedDatabaseTest, ABlockThatNoRecordNamesIsOfZeroes) {
  std::vector<uint8_t> page(kBlockSize, 1);
  pages_->set_lsn(copied_.end);
  const Status read = pages_->Read(PageKey::OfBlock({kCopied, kMainFork, 5}), page.data());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(page, std::vector<uint8_t>(kBlockSize));
  const auto slru = pages_->Read(PageKey::OfSlruBlock({SlruKind::kClog, 0, 0}), page.data());
  ASSERT_FALSE(slru);
  EXPECT_EQ(slru.error().code, ErrorCode::kNotFound);
}

TEST_P(MovedDatabaseTest, ABackupIsConsistentFromItsEndOn) {
  EXPECT_EQ(*ConsistentFrom(opened_.get(), begin_, Lsn()), ended_.end);
  EXPECT_EQ(*ConsistentFrom(opened_.get(), begin_, created_.end), created_.end);
  EXPECT_EQ(*ConsistentFrom(opened_.get(), begin_ + 8, Lsn()), std::nullopt);
}

// With memory for all, and for nothing.
INSTANTIATE_TEST_SUITE_P(Memory, MovedDatabaseTest, ::testing::Values(size_t{1} << 20, size_t{0}));

// Two databases that are copied to and fro: sizes and relation maps.
TEST(ForkSizes, CopiesOfCopiesAreFollowedSoFar) {
  TempDirectory directory, made;
  WalWriter wal(1 << 20);
  const Lsn begin = wal.Append(kRmXlog, 0x20, 8).start;
  wal.AppendData(kRmSmgr, 0x10, Numbers({kOld.spc, kOld.db, kOld.rel, 0}));
  std::vector<Lsn> ends;
  for (uint32_t i = 0; i <= CopyChain::kMost; i++)
    ends.push_back(wal.AppendData(kRmDbase, 0x00, Numbers({6 - i % 2, 1663, 5 + i % 2, 1663})).end);
  wal.Append(kRmXlog, 0x20, 8);
  wal.Save(directory.path());
  const auto index =
      WalIndex::Open(*WalSet::Open(directory.path()), {}, {.directory = made.path()});
  ASSERT_TRUE(index) << index.error().message;
  IndexedChanges changes(index->get(), begin, false);
  ForkSizes sizes(index->get(), &changes, {}, begin);
  WorkerOptions worker;
  worker.version = &kPg15;
  BaseContent base;
  base.map = [](uint32_t, uint32_t database) -> Result<std::string> {
    return "the map of " + std::to_string(database);
  };
  IndexedPages pages(index->get(), begin, base, worker);
  const auto size = [&](uint32_t database, Lsn lsn) {
    return sizes.Read({1663, database, kOld.rel}, kMainFork, lsn);
  };
  ASSERT_TRUE(size(5, ends[CopyChain::kMost - 1]));
  EXPECT_EQ(size(5, ends[CopyChain::kMost - 1])->blocks, 0);
  pages.set_lsn(ends[CopyChain::kMost - 1]);
  EXPECT_EQ(pages.Map(1663, 5).value_or("none"), "the map of 5");
  ASSERT_FALSE(size(6, ends.back()));
  EXPECT_EQ(size(6, ends.back()).error().code, ErrorCode::kUnsupported);
  pages.set_lsn(ends.back());
  ASSERT_FALSE(pages.Map(1663, 6));
  EXPECT_EQ(pages.Map(1663, 6).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace neon_redo

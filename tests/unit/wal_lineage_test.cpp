// What a directory of WAL says of its timelines, and when it is worth reading again.
#include "cpp_core/wal/lineage.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/wal/open.h"
#include "cpp_core/wal/watch.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

TEST(WalLineage, AHistoryFileThatCannotBeReadIsAnError) {
  TempDirectory dir;
  WalWriter wal(1 << 20, 3, 2);
  wal.Append(10, 0, 1000);
  wal.Save(dir.path());
  const std::string path = dir.path() + "/00000002.history";
  const auto unknown = ReadLineage(*WalSet::Open(dir.path()), std::nullopt, std::nullopt);
  ASSERT_TRUE(unknown) << unknown.error().message;
  EXPECT_FALSE(unknown->is_known);
  std::ofstream(path) << "1\t0/300000\treason\n";
  EXPECT_TRUE(ReadLineage(*WalSet::Open(dir.path()), std::nullopt, std::nullopt)->is_known);
  for (const bool fifo : {false, true}) {
    fs::remove(path);
    if (fifo) {
      ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    } else {
      std::ofstream(path) << "1\t0/300000\t" << std::string(2 << 20, 'x');
    }
    const auto read = ReadLineage(*WalSet::Open(dir.path()), 2, std::nullopt);
    ASSERT_FALSE(read) << fifo;
    EXPECT_NE(read.error().message.find(path), std::string::npos) << read.error().message;
  }
}

// A fault of one timeline does not keep another from being read.
TEST(WalLineage, ABadHistoryOfAnotherTimelineIsNoError) {
  TempDirectory dir;
  for (const uint32_t timeline : {1, 2}) {
    WalWriter wal(1 << 20, 3, timeline);
    wal.Append(10, 0, 1000);
    wal.Save(dir.path());
  }
  std::ofstream(dir.path() + "/00000002.history") << "this is no history";
  const auto lineage = ReadLineage(*WalSet::Open(dir.path()), 1, std::nullopt);
  ASSERT_TRUE(lineage) << lineage.error().message;
  const auto others = FindOtherTimelines(*WalSet::Open(dir.path()), *lineage);
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].timeline, 2u);
  EXPECT_FALSE(others[0].start.valid());
  EXPECT_FALSE(ReadLineage(*WalSet::Open(dir.path()), 2, std::nullopt));
}

// Each look at the start of a compressed segment costs a decompression of its first block.
TEST(WalLineage, AllReadersOfASetUseWhatItsOneListingFound) {
  TempDirectory dir;
  WalWriter wal(1 << 20, 3, 1);
  wal.Append(10, 0, 1000);
  wal.Save(dir.path());
  const auto set = WalSet::Open(dir.path());
  ASSERT_TRUE(set) << set.error().message;
  const std::string segment = set->Line({}, {})->front().path;
  std::filesystem::rename(segment, segment + ".gone");
  const auto lineage = ReadLineage(*set, std::nullopt, std::nullopt);
  ASSERT_TRUE(lineage) << lineage.error().message;
  EXPECT_TRUE(FindOtherTimelines(*set, *lineage).empty());
  const auto reader = OpenWal(*set, {});
  ASSERT_TRUE(reader) << reader.error().message;
  std::filesystem::rename(segment + ".gone", segment);
  const auto record = (*reader)->Next();
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_TRUE(*record);
}

TEST(WalWatch, WalThatMayHaveComeIsSeen) {
  TempDirectory dir;
  constexpr uint32_t kSize = 1 << 20;
  WalWriter wal(kSize, 3);
  wal.Append(10, 0, 1000);
  wal.Save(dir.path());
  const Lsn end(3 * kSize + 1500);
  const auto now = WalWatch::Clock::now() + std::chrono::seconds(10);
  // As if all of it were older than the start of reading.
  WalWatch watch({dir.path()});
  watch.Begin(now);
  const auto grown = [&] { return watch.MayHaveGrown(1, end, kSize, now); };
  for (int i = 0; i < 3; i++) EXPECT_FALSE(grown());
  EXPECT_TRUE(watch.MayHaveGrown(0, end, kSize, now));
  EXPECT_FALSE(grown());
  std::fstream(dir.path() + "/" + wal.SegmentFile(0)).seekp(1500).put('x').flush();
  EXPECT_TRUE(grown());
  EXPECT_FALSE(grown());
  std::ofstream(dir.path() + "/" + wal.SegmentFile(1) + ".partial") << "x";
  EXPECT_TRUE(grown());
  EXPECT_FALSE(grown());
  std::ofstream(dir.path() + "/00000002.history") << "x";
  EXPECT_TRUE(grown());
  EXPECT_FALSE(grown());
  // As pgBackRest and Barman keep them.
  const std::string part = dir.path() + "/" + wal.SegmentFile(0).substr(0, 16);
  std::filesystem::create_directory(part);
  EXPECT_TRUE(grown());
  EXPECT_FALSE(grown());
  std::ofstream(part + "/" + wal.SegmentFile(1) + ".gz") << "x";
  EXPECT_TRUE(grown());
  EXPECT_FALSE(grown());
  EXPECT_TRUE(watch.MayHaveGrown(1, end, kSize, now + WalWatch::kLongest));
  // What was written while WAL was read may have the same time as what was read.
  watch.Begin(WalWatch::Clock::now());
  for (int i = 0; i < 3; i++) EXPECT_TRUE(grown());
}

}  // namespace
}  // namespace neon_redo

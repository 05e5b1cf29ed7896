// Which WAL a file of the index is of: segments that changed, were copied, came or went.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/file_identity.h"
#include "cpp_core/index/build.h"
#include "cpp_core/index/confirmed.h"
#include "cpp_core/index/record_source.h"
#include "tests/unit/index_fixture.h"

namespace neon_redo {
namespace {

class IndexSegmentsTest : public IndexTest {};

TEST_F(IndexSegmentsTest, OtherContentIsIndexedAgain) {
  Write(1, 2);
  ASSERT_TRUE(Open());
  struct stat before, after;
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 3, kSize);
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  Write(2, 2);
  const struct timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  ASSERT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  const auto index = Open();
  ASSERT_TRUE(index);
  EXPECT_EQ((*index)->counts().built, 2u);
  Compare(index->get(), Expected(), 2);
}

TEST_F(IndexSegmentsTest, AnotherPlaceIsNoOtherContent) {
  Write(1, 2);
  ASSERT_TRUE(Open());
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 3, kSize);
  std::filesystem::copy(path, path + ".new");
  std::filesystem::rename(path + ".new", path);
  const auto index = Open();
  ASSERT_TRUE(index);
  EXPECT_EQ((*index)->counts().built, 0u);
}

// Of a merged file what has not changed is used.
TEST_F(IndexSegmentsTest, OneChangedSegmentIsIndexedAlone) {
  Write(21, 14);
  ASSERT_TRUE(OpenMerged());
  const Entries before = Expected();
  Overwrite(PathOf(6), 600'000);
  {
    const auto index = OpenMerged();
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().segments_indexed, 1u);
    ASSERT_TRUE((*index)->damage());
    EXPECT_LE((*index)->end().value, 6 * kSize + 600'000u);
  }
  Write(21, 14);
  const auto index = OpenMerged();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->damage());
  Compare(index->get(), before, 1);
  EXPECT_EQ((*index)->counts().segments_indexed, 0u);
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
}

// Two archives of one cluster, of which one has another segment, at one directory.
TEST_F(IndexSegmentsTest, AFileIsOfUseForPartsOfAnother) {
  // The same records but for the transactions in one segment.
  const auto replace = [&](uint32_t xid) {
    std::mt19937 random(22);
    WalWriter wal(kSize, 3, 1);
    while (wal.position() < 13 * uint64_t{kSize} - 20'000) {
      const bool is_here = wal.position() / kSize == 6;
      wal.set_xid(is_here ? xid : 700);
      wal.AppendData(kRmXact, 0x00, Numbers({static_cast<uint32_t>(random() % 40), 0}));
    }
    for (const auto& file : std::filesystem::directory_iterator(wal_.path()))
      std::filesystem::remove(file.path());
    wal.Save(wal_.path());
  };
  replace(700);
  ASSERT_TRUE(OpenMerged());
  for (const uint32_t xid : {701u, 700u, 702u}) {
    replace(xid);
    for (const uint64_t indexed : {1u, 0u}) {
      const auto index = OpenMerged();
      ASSERT_TRUE(index) << index.error().message;
      if (xid != 700) {
        EXPECT_EQ((*index)->counts().segments_indexed, indexed);
      }
      Compare(index->get(), Expected(), xid);
      const auto commits = (*index)->GetAll(kCommitsKey, Lsn(6 * kSize + 8192), Lsn(7 * kSize));
      ASSERT_TRUE(commits);
      for (const IndexEntry& commit : *commits) EXPECT_EQ(commit.xid, xid);
    }
  }
}

// An archive is shortened from its beginning.
TEST_F(IndexSegmentsTest, SegmentsThatAreGoneNeedNoNewFile) {
  Write(23, 14);
  ASSERT_TRUE(OpenMerged());
  for (uint64_t number = 3; number < 8; number++) {
    std::filesystem::remove(PathOf(number));
    const auto index = OpenMerged();
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().built, 0u);
    Compare(index->get(), Expected(), 1);
  }
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
}

// A hash that was found out is not found out again.
TEST_F(IndexSegmentsTest, ACopyIsReadOnce) {
  Write(31, 3);
  ASSERT_TRUE(Open());
  const auto replace = [&] {
    std::filesystem::copy(PathOf(4), PathOf(4) + ".new");
    std::filesystem::rename(PathOf(4) + ".new", PathOf(4));
  };
  replace();
  AwaitAge(NanosecondsNow());
  ASSERT_EQ((*Open())->counts().built, 0u);
  const auto directory = Directory::Open(std::filesystem::path(Files()[0]).parent_path());
  Segment segment{};
  segment.path = PathOf(4);
  segment.timeline = 1;
  segment.number = 4;
  segment.file_size = kSize;
  const auto now = DescribeSegment(segment, kSize);
  ASSERT_TRUE(now);
  IndexedSegment indexed = *now;
  indexed.file = {};
  EXPECT_TRUE(ConfirmedSegments(&*directory).Has(indexed, *now));
  // Of other content, and of a file that was written to, nothing is known.
  indexed.hash++;
  EXPECT_FALSE(ConfirmedSegments(&*directory).Has(indexed, *now));
  indexed.hash--;
  IndexedSegment other = *now;
  other.file.changed++;
  EXPECT_FALSE(ConfirmedSegments(&*directory).Has(indexed, other));
  // A byte that is wrong makes the list useless, not wrong.
  const std::string path = directory->PathOf("confirmed");
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  for (int64_t at = 0; at < size; at += 7) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto byte = static_cast<char>(file.seekg(at).get());
    file.seekp(at).put(static_cast<char>(byte ^ 1)).flush();
    EXPECT_FALSE(ConfirmedSegments(&*directory).Has(indexed, *now)) << at;
    file.seekp(at).put(byte);
  }
  EXPECT_TRUE(ConfirmedSegments(&*directory).Has(indexed, *now));
}

// A file that was young when it was indexed is read once more. Reading it again would write the list again.
TEST_F(IndexSegmentsTest, AListedCopyIsNotRead) {
  Write(31, 1);
  ASSERT_TRUE(Open());
  AwaitAge(NanosecondsNow());
  ASSERT_EQ((*Open())->counts().built, 0u);
  const auto directory = Directory::Open(std::filesystem::path(Files()[0]).parent_path());
  const std::string list = directory->PathOf("confirmed");
  ASSERT_TRUE(std::filesystem::exists(list));
  struct stat before, after;
  ASSERT_EQ(stat(list.c_str(), &before), 0);
  ASSERT_EQ((*Open())->counts().built, 0u);
  ASSERT_EQ(stat(list.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

// The last record of the range ends in a segment of which the first copy is damaged.
TEST_F(IndexSegmentsTest, TheLastRecordIsReadFromAGoodCopy) {
  WalWriter wal(kSize);
  std::vector<Lsn> starts;
  while (wal.position() < 5 * uint64_t{kSize} - 20'000) {
    if (wal.position() % kSize < kSize - 4'000) {
      wal.AppendData(kRmClog, 0x00, Numbers({1}));
      continue;
    }
    starts.push_back(wal.Append(kRmXlog, 0x20, 6'000).start);
  }
  wal.Save(wal_.path());
  TempDirectory other;
  wal.Save(other.path());
  ASSERT_EQ(starts.size(), 1u);
  Overwrite(PathOf(4), 100);
  const auto set = WalSet::Open(WalSources{.directories = {wal_.path(), other.path()}});
  ASSERT_TRUE(set);
  const IndexOptions options{.directory = index_.path() + "/a/b", .group = kSize};
  ASSERT_TRUE(WalIndex::Open(*set, {}, options));
  const auto index = WalIndex::Open(*set, {.to = Lsn(4 * kSize)}, options);
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ((*index)->counts().built, 0u);
  RecordSource records((*index)->segments(), (*index)->identity());
  const auto last = records.Read(starts[0]);
  EXPECT_TRUE(last) << last.error().message;
}

TEST_F(IndexSegmentsTest, ASegmentMayBecomeWholeMeanwhile) {
  Write(16, 2);
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 4, kSize);
  std::filesystem::rename(path, path + ".partial");
  const auto set = WalSet::Open(wal_.path());
  std::filesystem::rename(path + ".partial", path);
  const auto index = WalIndex::Open(*set, {}, {.directory = index_.path() + "/a/b"});
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->GetAll(kCommitsKey, Lsn(4 * kSize), Lsn(5 * kSize))->empty());
}

}  // namespace
}  // namespace neon_redo

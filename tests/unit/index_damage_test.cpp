// Damaged files of the index, and damaged or missing WAL: the answers are right, or there is an error.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "cpp_core/base/directory.h"
#include "cpp_core/index/file.h"
#include "tests/unit/index_fixture.h"

namespace neon_redo {
namespace {

class IndexDamageTest : public IndexTest {
 protected:
  // The last record of segment 3 ends with it, so that nothing but the numbers shows that 4 is missing.
  void WriteWithSwitch() {
    WalWriter wal(kSize, 3);
    for (uint32_t i = 0; wal.position() < 8 * uint64_t{kSize} - 20'000; i++) {
      wal.AppendData(kRmClog, 0x00, Numbers({i % 5}));
      wal.Append(kRmXlog, 0x20, 10'000);
      if (wal.position() / kSize == 3 && wal.position() % kSize > kSize / 2) wal.Switch();
    }
    wal.Save(wal_.path());
  }

  void DamageFiles(int times, uint64_t group, uint64_t fan_out);
};

// Of a file whose checksums are right.
TEST_F(IndexDamageTest, AHeaderThatCannotBeIsDamage) {
  const auto directory = Directory::Open(index_.path());
  const auto open = [&](const IndexHeader& header) {
    const FileDescriptor fd = *directory->CreateFile("x.sst");
    const auto writer = IndexFileWriter::Create(fd.get(), "x.sst", false);
    EXPECT_TRUE((*writer)->Finish(header));
    return IndexFile::Open(*directory, "x.sst", nullptr);
  };
  const auto at = [](uint64_t number) { return Lsn(number * kSize); };
  IndexHeader good{.system_identifier = 1, .segment_size = kSize};
  for (uint64_t number = 3; number < 6; number++)
    good.segments.push_back({.timeline = 1, .number = number});
  good.stretches = {{.begin = at(3), .end = at(5)}, {.begin = at(5), .end = at(6)}};
  ASSERT_TRUE(open(good));
  // To and fro; past the segments; of a number that overflows.
  IndexHeader bad[4] = {good, good, good, good};
  bad[0].stretches = {{.begin = at(3), .end = at(1000)},
                      {.begin = at(1000), .end = at(4)},
                      {.begin = at(4), .end = at(6)}};
  bad[1].stretches.back().end = at(6) + 8;
  bad[2].stretches.back().end = Lsn(5 * kSize - 8);
  for (IndexedSegment& segment : bad[3].segments) segment.number += uint64_t{1} << 44;
  for (const IndexHeader& header : bad) {
    const auto file = open(header);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::kCorrupt);
  }
}

// Whatever happens to a file: the answers are the same, and somebody is told.
void IndexDamageTest::DamageFiles(int times, uint64_t group, uint64_t fan_out) {
  const Entries expected = Expected();
  ASSERT_TRUE(Open(1, group, fan_out));
  const std::vector<std::string> files = Files();
  ASSERT_EQ(files.size(), 2u);
  std::mt19937 random(6);
  uint64_t told = 0, rebuilt = 0;
  for (int round = 0; round < times; round++) {
    const std::string& path = files[random() % 2];
    std::ifstream in(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    switch (random() % 4) {
      case 0:
        bytes.resize(random() % bytes.size());
        break;
      case 1:
        std::swap_ranges(bytes.begin(), bytes.begin() + 100, bytes.end() - 300);
        break;
      default:
        for (uint32_t i = 0; i <= random() % 8; i++)
          bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<int64_t>(bytes.size()));
    const auto index = Open(1, group, fan_out);
    ASSERT_TRUE(index) << index.error().message;
    CompareAll(index->get(), expected, static_cast<uint32_t>(round));
    EXPECT_EQ(Files(), files);
    const bool is_told = !(*index)->TakeNotes().empty();
    told += is_told;
    rebuilt += (*index)->counts().built != 0;
    if (!is_told) {
      // In a place that nothing depends on, or reads the checksum of.
      std::filesystem::remove(path);
      ASSERT_TRUE(Open(1, group, fan_out));
    }
  }
  EXPECT_GT(told, times * 9u / 10);
  EXPECT_GT(rebuilt, times * 9u / 10);
}

TEST_F(IndexDamageTest, DamagedFilesAreMadeAnew) {
  Write(5, 2);
  DamageFiles(1000, 256 << 20, 16);
}

TEST_F(IndexDamageTest, DamagedMergedFilesAreMadeAnew) {
  Write(5, 6);
  ASSERT_TRUE(OpenMerged());
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-7", "8"}));
  DamageFiles(std::getenv("NEON_REDO_LONG") ? 1000 : 150, kSize, 2);
}

TEST_F(IndexDamageTest, ProgressEndsWithOpening) {
  Write(13, 1);
  bool is_open = false;
  uint64_t told = 0;
  ASSERT_TRUE(OpenRange({}, [&](uint64_t, uint64_t) { told++; }));
  EXPECT_GT(told, 0u);
  // Damage that is found by a question.
  const std::string path = Files()[0];
  Overwrite(path, 200);
  const auto index = OpenRange({}, [&](uint64_t, uint64_t) { EXPECT_FALSE(is_open); });
  ASSERT_TRUE(index);
  is_open = true;
  Compare(index->get(), Expected(), 1);
  EXPECT_FALSE((*index)->TakeNotes().empty());
}

TEST_F(IndexDamageTest, WalBeforeDamageIsIndexed) {
  Write(4, 3);
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 4, kSize);
  Overwrite(path, 600'000);
  const auto index = Open();
  ASSERT_TRUE(index) << index.error().message;
  ASSERT_TRUE((*index)->damage());
  EXPECT_EQ((*index)->damage()->code, ErrorCode::kCorrupt);
  EXPECT_LE((*index)->end().value, 4 * kSize + 600'000u);
  EXPECT_GT((*index)->end().value, 4 * kSize + 500'000u);
  EXPECT_EQ((*index)->counts().files, 2u);
  const auto got = (*index)->GetAll(kCommitsKey, Lsn(), Lsn(~uint64_t{0}));
  ASSERT_TRUE(got);
  EXPECT_GT(got->size(), 100u);
  // The next one finds it again.
  EXPECT_TRUE((*Open())->damage());
}

// A question must not be answered from less WAL than the one before it.
TEST_F(IndexDamageTest, WalThatIsDamagedMeanwhileIsAnError) {
  Write(30, 3);
  ASSERT_TRUE(Open());
  const auto index = Open();
  ASSERT_TRUE(index);
  const Lsn end = (*index)->end();
  const Entries expected = Expected();
  Overwrite(PathOf(4), 600'000);
  Overwrite(Files()[1], 200);
  bool failed = false;
  for (const auto& [key, all] : expected) {
    const auto got = (*index)->GetAll(key, Lsn(), Lsn(~uint64_t{0}));
    if (got) continue;
    failed = true;
    EXPECT_EQ(got.error().code, ErrorCode::kCorrupt);
    break;
  }
  EXPECT_TRUE(failed);
  EXPECT_LT((*index)->end(), end);
}

// Damage before the range, in the group in which it begins.
TEST_F(IndexDamageTest, DamageBeforeTheRangeIsNoConcern) {
  Write(15, 5);
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 4, kSize);
  Overwrite(path, 5'000);
  const auto set = WalSet::Open(wal_.path());
  const auto index = WalIndex::Open(*set, {.from = Lsn(5 * kSize)},
                                    {.directory = index_.path() + "/a/b", .group = 2 * kSize});
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->damage());
  EXPECT_GT((*index)->end().value, 7u * kSize);
  EXPECT_FALSE((*index)->GetAll(kCommitsKey, Lsn(5 * kSize), Lsn(6 * kSize))->empty());
}

// A segment that only has the rest of a record which begins before it.
TEST_F(IndexDamageTest, TheRestOfARecordIsNoDamage) {
  WalWriter wal(kSize);
  wal.AppendData(kRmClog, 0x00, Numbers({1}));
  wal.Append(kRmXlog, 0x20, kSize + kSize / 2);
  wal.Save(wal_.path());
  const auto index = Open();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->damage());
  Compare(index->get(), Expected(), 1);
}

// Files that were made when it was there say nothing of it.
TEST_F(IndexDamageTest, NothingAfterAMissingSegmentAnswers) {
  WriteWithSwitch();
  for (const uint64_t fan_out : {uint64_t{16}, uint64_t{2}}) {
    ASSERT_TRUE(Open(1, kSize, fan_out));
    const Entries before = Expected();
    const std::string away = index_.path() + "/away";
    std::filesystem::rename(PathOf(4), away);
    for (int round = 0; round < 2; round++) {
      const auto index = Open(1, kSize, fan_out);
      ASSERT_TRUE(index) << index.error().message;
      ASSERT_TRUE((*index)->damage());
      EXPECT_EQ((*index)->damage()->code, ErrorCode::kCorrupt);
      EXPECT_NE((*index)->damage()->message.find("000000010000000000000004\" is missing"),
                std::string::npos);
      EXPECT_EQ((*index)->end(), Lsn(4 * kSize));
      for (const auto& [key, all] : before) {
        const auto after = (*index)->GetAll(key, Lsn(4 * kSize), Lsn(9 * kSize));
        EXPECT_TRUE(after && after->empty());
      }
    }
    // What is after it is no concern of those before, and the other way round.
    const auto set = WalSet::Open(wal_.path());
    for (const WalRange& range :
         {WalRange{.to = Lsn(4 * kSize)}, WalRange{.from = Lsn(5 * kSize)}}) {
      const auto index =
          WalIndex::Open(*set, range, {.directory = index_.path() + "/a/b", .group = kSize});
      ASSERT_TRUE(index) << index.error().message;
      EXPECT_FALSE((*index)->damage());
    }
    std::filesystem::rename(away, PathOf(4));
    const auto index = Open(1, kSize, fan_out);
    EXPECT_FALSE((*index)->damage());
    Compare(index->get(), Expected(), 1);
  }
}

TEST_F(IndexDamageTest, ThreadsIndexDamagedWalOnce) {
  Write(4, 3);
  Overwrite(PathOf(4), 600'000);
  const auto index = Open();
  ASSERT_TRUE(index);
  struct stat before, after;
  ASSERT_EQ(stat(Files()[1].c_str(), &before), 0);
  const auto shared = (*index)->Share();
  ASSERT_EQ(stat(Files()[1].c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  ASSERT_TRUE(shared->damage());
  EXPECT_EQ(shared->end(), (*index)->end());
}

}  // namespace
}  // namespace neon_redo

#include "cpp_core/archive/wal_set.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

TEST(SegmentName, ReadsWhatItWrites) {
  for (uint32_t size = 1 << 20; size <= 1u << 30 && size != 0; size *= 2) {
    for (uint64_t number : {uint64_t{0}, uint64_t{1}, (uint64_t{1} << 32) / size - 1,
                            (uint64_t{1} << 32) / size, uint64_t{0xffffffff}}) {
      const std::string name = FormatSegmentName(7, number, size);
      auto parsed = ParseSegmentName(name);
      ASSERT_TRUE(parsed) << name;
      EXPECT_EQ(parsed->timeline, 7u);
      EXPECT_EQ(parsed->log * ((uint64_t{1} << 32) / size) + parsed->segment, number);
      EXPECT_FALSE(parsed->partial);
      EXPECT_TRUE(ParseSegmentName(name + ".partial")->partial);
    }
  }
  EXPECT_EQ(FormatSegmentName(1, 0x16B, 16 << 20), "00000001000000010000006B");
}

TEST(SegmentName, RefusesOtherFiles) {
  for (const char* name :
       {"", "00000001.history", "archive_status", "00000001000000010000006", "xlogtemp.123",
        "00000001000000010000006b", "00000001000000010000006G", "0000000100000001000000061",
        "000000010000000100000006.00000028.backup", "000000010000000100000006.gz",
        "000000010000000100000006.partial.gz", ".partial", "0x0000010000000100000006"})
    EXPECT_FALSE(ParseSegmentName(name)) << name;
}

TEST(WalSet, TellsWhatItHolds) {
  TempDirectory dir;
  WalWriter wal(2 << 20);
  for (int i = 0; i < 500; i++) wal.Append(10, 0, 10000);
  wal.Save(dir.path());
  fs::create_directory(dir.path() + "/archive_status");
  std::ofstream(dir.path() + "/00000002.history") << "1\t0/500000\tno reason\n";
  std::ofstream(dir.path() + "/000000010000000000000003.00000028.backup") << "START WAL";
  auto directory = WalSet::Open(dir.path());
  ASSERT_TRUE(directory) << directory.error().message;
  EXPECT_EQ(directory->segment_size(), 2u << 20);
  EXPECT_EQ(directory->system_identifier(), 7000000000000000001u);
  EXPECT_EQ(directory->timelines(), std::vector<uint32_t>{1});
  EXPECT_EQ(directory->Line({}, {})->size(), 3u);
  EXPECT_EQ(directory->Line({}, Lsn(9 << 20))->front().number, 4u);
}

TEST(WalSet, FindsPgWalInADataDirectory) {
  TempDirectory dir;
  fs::create_directory(dir.path() + "/pg_wal");
  WalWriter wal;
  wal.Append(10, 0, 10);
  wal.Save(dir.path() + "/pg_wal");
  auto directory = WalSet::Open(dir.path());
  ASSERT_TRUE(directory);
  EXPECT_EQ(directory->path(), dir.path() + "/pg_wal");
}

TEST(WalSet, AWholeSegmentGoesBeforeItsPartial) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 10);
  wal.Save(dir.path());
  const std::string path = dir.path() + "/" + wal.SegmentFile(0);
  fs::copy_file(path, path + ".partial");
  EXPECT_EQ(WalSet::Open(dir.path())->Line({}, {})->front().path, path);
  fs::remove(path);
  EXPECT_EQ(WalSet::Open(dir.path())->Line({}, {})->front().path, path + ".partial");
}

// A receiver renames its segment once it is whole, at any moment.
TEST(WalSet, FindsASegmentThatIsRenamedMeanwhile) {
  TempDirectory dir;
  WalWriter wal;
  for (int i = 0; i < 150; i++) wal.Append(10, 0, 10000);
  wal.Save(dir.path());
  const std::string whole = dir.path() + "/" + wal.SegmentFile(1), partial = whole + ".partial";
  const auto known = WalSet::Open(dir.path());
  ASSERT_TRUE(known);
  const uint64_t number = known->Line({}, {})->back().number;
  for (int i = 0; i < 1000; i++) {
    fs::rename(whole, partial);
    std::atomic<bool> started = false;
    std::thread receiver([&] {
      started = true;
      for (volatile int spin = i % 100 * 30; spin > 0;) spin = spin - 1;
      fs::rename(partial, whole);
    });
    while (!started) {
    }
    if (i % 2 == 0) {
      const auto now = WalSet::Open(dir.path());
      EXPECT_TRUE(now) << now.error().message;
    } else {
      const auto now = known->Look(1, number);
      EXPECT_TRUE(now && *now) << (now ? "not there" : now.error().message);
    }
    receiver.join();
  }
}

TEST(WalSet, NamesALinkToNothing) {
  TempDirectory dir;
  WalWriter wal;
  for (int i = 0; i < 150; i++) wal.Append(10, 0, 10000);
  wal.Save(dir.path());
  const std::string path = dir.path() + "/" + wal.SegmentFile(1);
  fs::remove(path);
  fs::create_symlink(dir.path() + "/none", path);
  const auto directory = WalSet::Open(dir.path());
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().code, ErrorCode::kIo);
  EXPECT_NE(directory.error().message.find(path), std::string::npos) << directory.error().message;
}

TEST(WalSet, SaysWhyThereIsNothingToRead) {
  TempDirectory dir;
  auto missing = WalSet::Open(dir.path() + "/none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);

  std::ofstream(dir.path() + "/000000010000000000000003.lzo") << "x";
  auto compressed = WalSet::Open(dir.path());
  ASSERT_FALSE(compressed);
  EXPECT_EQ(compressed.error().code, ErrorCode::kNotFound);
  EXPECT_NE(compressed.error().message.find("compressed"), std::string::npos);

  const std::string path = dir.path() + "/000000010000000000000003";
  for (const std::string& bytes :
       {std::string(), std::string("x"), std::string(16 << 20, '\0'), std::string(9000, 'y')}) {
    std::ofstream(path, std::ios::binary) << bytes;
    auto foreign = WalSet::Open(dir.path());
    ASSERT_FALSE(foreign);
    EXPECT_EQ(foreign.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(foreign.error().message.find(path), std::string::npos);
    EXPECT_NE(foreign.error().message.find("0/3000000"), std::string::npos)
        << foreign.error().message;
  }
}

TEST(SegmentName, KnowsCompressedFiles) {
  const std::string name = "000000010000000100000006";
  for (const char* suffix : {".gz", ".lz4", ".zst", ".bz2", ".xz"}) {
    ASSERT_TRUE(ParseCompressedName(name + suffix)) << suffix;
    EXPECT_EQ(ParseCompressedName(name + suffix)->suffix, suffix);
    EXPECT_TRUE(ParseCompressedName(name + suffix + ".partial")->segment.partial);
  }
  for (const std::string& other : {name, name + ".partial", name + ".gz.tmp", name + ".backup",
                                   name.substr(1) + ".gz", std::string("x.gz")})
    EXPECT_FALSE(ParseCompressedName(other)) << other;
}

// Segments that are only there compressed are not passed over.
TEST(WalSet, CompressedSegmentsOfTheRangeAreNamed) {
  WalWriter wal;
  for (int i = 0; i < 500; i++) wal.Append(10, 0, 10000);
  ASSERT_GT(wal.position(), 7u << 20);
  const auto segment = [&](uint64_t i) { return Lsn((3 + i) << 20); };
  for (const uint64_t packed : {0u, 1u, 4u}) {
    TempDirectory dir;
    wal.Save(dir.path());
    const std::string path = dir.path() + "/" + wal.SegmentFile(packed);
    fs::rename(path, path + ".lzo");
    const auto read = [&](std::optional<Lsn> from, std::optional<Lsn> to) {
      return ReadAll(WalReaderOptions{{dir.path()}, from, to, {}});
    };
    for (const ReadAll& all : {read({}, {}), read(segment(packed), {})}) {
      ASSERT_TRUE(all.error) << packed;
      EXPECT_EQ(all.error->code, ErrorCode::kUnsupported) << all.error->message;
      EXPECT_NE(all.error->message.find(wal.SegmentFile(packed) + ".lzo"), std::string::npos);
    }
    // Outside the range it is not needed.
    if (packed == 0) {
      EXPECT_FALSE(read(segment(1), {}).error);
    } else {
      EXPECT_FALSE(read({}, segment(packed)).error);
    }
    // Nor beside the segment itself.
    fs::copy_file(path + ".lzo", path);
    EXPECT_FALSE(read({}, {}).error);
  }
  // A plain name may hold compressed bytes.
  TempDirectory dir;
  wal.Save(dir.path());
  std::ofstream(dir.path() + "/" + wal.SegmentFile(2), std::ios::binary)
      << "\x1f\x8b" << std::string(5000, 'x');
  const ReadAll hidden(dir.path());
  ASSERT_TRUE(hidden.error);
  EXPECT_NE(hidden.error->message.find("its gzip data are not valid"), std::string::npos)
      << hidden.error->message;
}

TEST(WalSet, DoesNotWaitForAFifo) {
  TempDirectory dir;
  const std::string path = dir.path() + "/000000010000000000000003";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  auto directory = WalSet::Open(dir.path());
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().code, ErrorCode::kIo);
  EXPECT_NE(directory.error().message.find(path), std::string::npos);
}

// Timeline 1 has segments 3 to 8; timeline 2 leaves it in 5, timeline 3 leaves 1 in 4.
class Timelines : public testing::Test {
 protected:
  void SetUp() override {
    Save(1, 3, 6);
    Save(2, 5, 3);
    Save(3, 4, 2);
  }
  void Save(uint32_t timeline, uint64_t first, int count) {
    WalWriter wal(1 << 20, first, timeline);
    while (wal.wal().size() < (static_cast<size_t>(count) << 20) - 20000) wal.Append(10, 0, 9000);
    wal.Save(dir_.path());
  }
  std::vector<std::pair<uint32_t, uint64_t>> Line(std::optional<uint32_t> timeline,
                                                  std::optional<Lsn> from) {
    auto line = WalSet::Open(dir_.path())->Line(timeline, from);
    std::vector<std::pair<uint32_t, uint64_t>> out;
    if (line) {
      for (const Segment& s : *line) out.emplace_back(s.timeline, s.number);
    }
    return out;
  }
  using Pairs = std::vector<std::pair<uint32_t, uint64_t>>;
  TempDirectory dir_;
};

TEST_F(Timelines, WithoutHistoryTheLaterBranchWins) {
  EXPECT_EQ(Line(1, {}), (Pairs{{1, 3}, {1, 4}, {1, 5}, {1, 6}, {1, 7}, {1, 8}}));
  EXPECT_EQ(Line(2, {}), (Pairs{{1, 3}, {1, 4}, {2, 5}, {2, 6}, {2, 7}}));
  EXPECT_EQ(Line(3, {}), (Pairs{{1, 3}, {3, 4}, {3, 5}}));
  EXPECT_EQ(Line({}, {}), Line(3, {}));
}

TEST_F(Timelines, TheHighestTimelineWithTheStartIsTaken) {
  EXPECT_EQ(Line({}, Lsn(4 << 20)), (Pairs{{3, 4}, {3, 5}}));
  EXPECT_EQ(Line({}, Lsn(7 << 20)), (Pairs{{2, 7}}));
  EXPECT_EQ(Line({}, Lsn(8 << 20)), (Pairs{{1, 8}}));
  EXPECT_TRUE(Line({}, Lsn(9 << 20)).empty());
  EXPECT_TRUE(Line(4, {}).empty());
}

TEST_F(Timelines, AHistoryFileMustBeARegularOne) {
  const std::string path = dir_.path() + "/00000002.history";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  auto directory = WalSet::Open(dir_.path());
  ASSERT_TRUE(directory);
  EXPECT_EQ(directory->Line(2, {}).error().code, ErrorCode::kInvalidArgument);
  fs::remove(path);
  fs::create_symlink("/dev/zero", path);
  EXPECT_EQ(directory->Line(2, {}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(Timelines, AHistoryFileDecides) {
  // Timeline 3 left timeline 2 in segment 7, says its history: then its segments 4, 5 are not it.
  std::ofstream(dir_.path() + "/00000003.history")
      << "1\t0/500000\tno reason\n\n# comment\n2\t0/7000FF\tno reason\n";
  EXPECT_EQ(Line(3, {}), (Pairs{{1, 3}, {1, 4}, {2, 5}, {2, 6}}));
  std::ofstream(dir_.path() + "/00000003.history") << "1\tnonsense\n";
  auto line = WalSet::Open(dir_.path())->Line(3, {});
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(line.error().message.find("00000003.history"), std::string::npos);
}

}  // namespace
}  // namespace neon_redo

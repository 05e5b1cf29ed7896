#include "cpp_core/wal_client/segment_writer.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "cpp_core/wal_client/segment_compressor.h"
#include "tests/unit/failing_calls.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSegment = 1 << 20;
const std::string kFirst = "000000010000000000000003";

class SegmentWriterTest : public testing::Test {
 protected:
  std::unique_ptr<SegmentWriter> Open(Compression compression = Compression::kNone) {
    auto writer = SegmentWriter::Open(root_.path(), kSegment, compression);
    EXPECT_TRUE(writer) << writer.error().message;
    return std::move(*writer);
  }
  Status Write(SegmentWriter* writer, size_t length) {
    const std::vector<uint8_t> wal(length, 7);
    return writer->Write(writer->written(), wal);
  }

  // So many whole segments, from kFirst on.
  void Save(uint64_t segments) {
    WalWriter wal(kSegment, 3);
    while (wal.position() < (3 + segments) * kSegment - 1000) wal.Append(10, 0, 500);
    wal.Save(root_.path());
  }

  TempDirectory root_;
};

// fdatasync succeeds again after the error, as Linux has it; the WAL may be lost all the same.
TEST_F(SegmentWriterTest, AFailedFlushIsFinal) {
  const auto writer = Open();
  ASSERT_TRUE(writer->Begin(1, Lsn(3 * kSegment)));
  ASSERT_TRUE(Write(writer.get(), 1000));
  ASSERT_TRUE(writer->Flush());
  const Lsn safe = writer->flushed();
  EXPECT_EQ(safe, Lsn(3 * kSegment + 1000));
  ASSERT_TRUE(Write(writer.get(), 1000));
  fdatasync_plan = {0, EIO};
  EXPECT_FALSE(writer->Flush());
  for (int i = 0; i < 2; i++) {
    const auto again = writer->Flush();
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::kIo);
    EXPECT_NE(again.error().message.find("could not flush file"), std::string::npos);
  }
  EXPECT_FALSE(Write(writer.get(), kSegment));  // its end flushes, too
  EXPECT_FALSE(writer->Close());
  EXPECT_EQ(writer->flushed(), safe);
}

TEST_F(SegmentWriterTest, AFailedFlushAtTheEndOfASegmentIsFinal) {
  const auto writer = Open();
  ASSERT_TRUE(writer->Begin(1, Lsn(3 * kSegment)));
  fdatasync_plan = {0, EIO};
  EXPECT_FALSE(Write(writer.get(), kSegment));
  EXPECT_FALSE(writer->Close());
  EXPECT_EQ(writer->flushed(), Lsn(3 * kSegment));
  EXPECT_TRUE(std::filesystem::exists(root_.path() + "/000000010000000000000003.partial"));
}

TEST_F(SegmentWriterTest, AFailedFlushAtATimelineSwitchIsFinal) {
  const auto writer = Open();
  ASSERT_TRUE(writer->Begin(1, Lsn(3 * kSegment)));
  ASSERT_TRUE(Write(writer.get(), 1000));
  fdatasync_plan = {1, EIO};
  EXPECT_FALSE(writer->SwitchTimeline(2));
  EXPECT_FALSE(writer->Close());
  EXPECT_EQ(writer->flushed(), Lsn(3 * kSegment + 1000));
}

// An archive with snapshots made of hard links.
TEST_F(SegmentWriterTest, LinkedSegmentsHaveTheirSystemIdentifier) {
  Save(1);
  std::filesystem::create_directory(root_.path() + "/snapshot");
  std::filesystem::create_hard_link(root_.path() + "/" + kFirst, root_.path() + "/snapshot/copy");
  const auto there = Open()->FindResumePoint();
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ((*there)->system_identifier, 7000000000000000001u);
  EXPECT_EQ((*there)->start, Lsn(4 * kSegment));
  // A segment in work is written to.
  std::filesystem::rename(root_.path() + "/" + kFirst, root_.path() + "/" + kFirst + ".partial");
  const auto writer = Open();
  ASSERT_TRUE(writer->Begin(1, Lsn(3 * kSegment)));
  const Status written = Write(writer.get(), 1);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("put a copy in its place"), std::string::npos);
}

TEST_F(SegmentWriterTest, ASegmentThatCannotBeReadIsAnError) {
  Save(1);
  const std::string path = root_.path() + "/" + kFirst;
  std::filesystem::rename(path, root_.path() + "/away");
  std::filesystem::create_symlink("away", path + ".partial");
  const auto linked = Open()->FindResumePoint();
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove(path + ".partial");
  std::ofstream(path) << std::string(kSegment, 'x');
  const auto foreign = Open()->FindResumePoint();
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(foreign.error().message.find("does not begin as a WAL segment"), std::string::npos);
}

// Only the last one must be known to be whole. Others tell the system identifier.
TEST_F(SegmentWriterTest, ASegmentInAnUnknownForm) {
  Save(2);
  const std::string first = root_.path() + "/" + kFirst;
  const std::string last = root_.path() + "/000000010000000000000004";
  std::filesystem::rename(first, first + ".lzo");
  const auto found = Open()->FindResumePoint();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ((*found)->start, Lsn(5 * kSegment));
  EXPECT_NE((*found)->system_identifier, 0u);
  std::filesystem::rename(last, last + ".lzo");
  const auto refused = Open()->FindResumePoint();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("04.lzo\" has WAL in a form that cannot be read"),
            std::string::npos)
      << refused.error().message;
}

TEST_F(SegmentWriterTest, ASegmentWithoutWalYetTellsNoSystemIdentifier) {
  for (const size_t length : {size_t{0}, size_t{kSegment}}) {
    std::ofstream(root_.path() + "/" + kFirst + ".partial") << std::string(length, '\0');
    const auto there = Open()->FindResumePoint();
    ASSERT_TRUE(there) << there.error().message;
    EXPECT_EQ((*there)->system_identifier, 0u);
    EXPECT_EQ((*there)->start, Lsn(3 * kSegment));
  }
}

TEST_F(SegmentWriterTest, NoSegmentOfTheWrongSizeIsCompressed) {
  Save(4);
  const std::string cut = root_.path() + "/000000010000000000000004";
  std::filesystem::resize_file(cut, kSegment / 2);
  const auto writer = Open(Compression::kLz4);
  const auto there = writer->FindResumePoint();
  ASSERT_FALSE(there);
  EXPECT_EQ(there.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(there.error().message.find("has 524288 bytes, a segment has 1048576"),
            std::string::npos);
  EXPECT_TRUE(writer->Close());
  EXPECT_EQ(writer->directory().Names()->size(), 4u);
}

// FindResumePoint looks at the last timeline alone.
TEST_F(SegmentWriterTest, NoSegmentOfTheWrongSizeIsCompressedOnAnOldTimeline) {
  for (const uint64_t size : {uint64_t{kSegment} / 2, uint64_t{1} << 42}) {
    Save(2);
    WalWriter wal(kSegment, 5, 2);
    wal.Append(10, 0, kSegment - 1000);
    wal.Save(root_.path());
    const std::string bad = root_.path() + "/" + kFirst;
    std::filesystem::resize_file(bad, size);
    const auto writer = Open(Compression::kZstd);
    const auto there = writer->FindResumePoint();
    ASSERT_TRUE(there) << there.error().message;
    ASSERT_TRUE(writer->Begin((*there)->timeline, (*there)->start));
    const Status closed = writer->Close();
    ASSERT_FALSE(closed);
    EXPECT_EQ(closed.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(closed.error().message.find(kFirst), std::string::npos) << closed.error().message;
    EXPECT_EQ(std::filesystem::file_size(bad), size);
    EXPECT_FALSE(std::filesystem::exists(bad + ".zst"));
  }
}

TEST_F(SegmentWriterTest, LeftoversAreCompressed) {
  Save(2);
  const auto writer = Open(Compression::kZstd);
  ASSERT_TRUE(writer->FindResumePoint());
  ASSERT_TRUE(writer->Begin(1, Lsn(5 * kSegment)));
  ASSERT_TRUE(writer->Close());
  EXPECT_FALSE(std::filesystem::exists(root_.path() + "/" + kFirst));
  const auto again = writer->FindResumePoint();
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->start, Lsn(5 * kSegment));
  EXPECT_EQ((*again)->system_identifier, 7000000000000000001u);
}

// The largest file that random bytes compress to is read; a larger one is not.
TEST_F(SegmentWriterTest, CompressedSegmentsAreBounded) {
  std::string noise(kSegment, '\0');
  uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  for (const auto& [compression, packing] : {std::pair{Compression::kLz4, Packing::kLz4},
                                             std::pair{Compression::kZstd, Packing::kZstd}}) {
    std::ofstream(root_.path() + "/" + kFirst) << noise;
    const auto directory = Directory::Open(root_.path());
    ASSERT_TRUE(CompressFile(*directory, kFirst, kSegment, compression));
    const std::string name = kFirst + CompressionSuffix(compression);
    EXPECT_TRUE(*IsWhole(*directory, name, packing, kSegment));
    std::filesystem::resize_file(root_.path() + "/" + name, uint64_t{1} << 42);
    EXPECT_FALSE(*IsWhole(*directory, name, packing, kSegment));
  }
}

}  // namespace
}  // namespace neon_redo

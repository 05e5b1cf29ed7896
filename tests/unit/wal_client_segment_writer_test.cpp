#include "cpp_core/wal_client/segment_writer.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/failing_calls.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSegment = 1 << 20;
const std::string kFirst = "000000010000000000000003";

class SegmentWriterTest : public testing::Test {
 protected:
  std::unique_ptr<SegmentWriter> Open() {
    auto writer = SegmentWriter::Open(root_.path(), kSegment, Compression::kNone);
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

TEST_F(SegmentWriterTest, ASegmentWithoutWalYetTellsNoSystemIdentifier) {
  for (const size_t length : {size_t{0}, size_t{kSegment}}) {
    std::ofstream(root_.path() + "/" + kFirst + ".partial") << std::string(length, '\0');
    const auto there = Open()->FindResumePoint();
    ASSERT_TRUE(there) << there.error().message;
    EXPECT_EQ((*there)->system_identifier, 0u);
    EXPECT_EQ((*there)->start, Lsn(3 * kSegment));
  }
}

}  // namespace
}  // namespace neon_redo

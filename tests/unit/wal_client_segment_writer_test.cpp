#include "cpp_core/wal_client/segment_writer.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/unit/failing_calls.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSegment = 1 << 20;

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

}  // namespace
}  // namespace neon_redo

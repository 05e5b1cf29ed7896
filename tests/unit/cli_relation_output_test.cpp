// The files of a fork that page --relation writes.
#include "cli/relation_output.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "cli/absent_blocks.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/block.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo::cli {
namespace {

namespace fs = std::filesystem;

class RelationOutputTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  size_t CountFiles() const {
    const fs::directory_iterator files(directory_.path());
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }
  TempDirectory directory_;
  const std::vector<uint8_t> page_ = std::vector<uint8_t>(kBlockSize, 7);
};

TEST_F(RelationOutputTest, SegmentsOfAGigabyte) {
  std::ofstream(Path("r")) << "earlier";
  auto output = RelationOutput::Create(Path("r"), pg::kBlocksPerFile + 3);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_TRUE((*output)->Write(pg::kBlocksPerFile - 1, page_));
  ASSERT_TRUE((*output)->Write(pg::kBlocksPerFile + 2, page_));
  EXPECT_EQ(fs::file_size(Path("r")), 7);
  EXPECT_FALSE(fs::exists(Path("r.1")));
  ASSERT_TRUE((*output)->Finish());
  EXPECT_EQ(fs::file_size(Path("r")), uint64_t{pg::kBlocksPerFile} * kBlockSize);
  EXPECT_EQ(fs::file_size(Path("r.1")), 3 * kBlockSize);
  EXPECT_EQ((*output)->names(), (std::vector{Path("r"), Path("r.1")}));
  EXPECT_EQ(fs::status(Path("r.1")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  output->reset();
  EXPECT_EQ(CountFiles(), 2);
}

TEST_F(RelationOutputTest, NothingStaysUnlessItIsFinished) {
  {
    auto output = RelationOutput::Create(Path("r"), pg::kBlocksPerFile * 2);
    ASSERT_TRUE(output && (*output)->Write(0, page_));
    EXPECT_EQ(CountFiles(), 2);
  }
  EXPECT_EQ(CountFiles(), 0);
}

TEST_F(RelationOutputTest, WhatIsInTheWayIsRefused) {
  fs::create_symlink("/dev/null", Path("link"));
  std::ofstream(Path("r.1")) << "of a longer one";
  for (const char* name : {"link", "r"}) {
    const auto output = RelationOutput::Create(Path(name), 5);
    ASSERT_FALSE(output) << name;
    EXPECT_EQ(output.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(RelationOutput::Create(Path("r"), pg::kBlocksPerFile + 1));
  EXPECT_FALSE(RelationOutput::Create("/dev/null", 5));
  EXPECT_EQ(CountFiles(), 2);
}

// It may be the user's, or another command writes it.
TEST_F(RelationOutputTest, ATemporaryNameThatIsTakenStays) {
  std::ofstream(Path("r.1.tmp")) << "the user's";
  const auto taken = RelationOutput::Create(Path("r"), pg::kBlocksPerFile + 1);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(taken.error().message.find("r.1.tmp\" is already there: another command writes it"),
            std::string::npos);
  EXPECT_EQ(fs::file_size(Path("r.1.tmp")), 10);
  EXPECT_EQ(CountFiles(), 1);

  auto first = RelationOutput::Create(Path("s"), 1);
  ASSERT_TRUE(first && (*first)->Write(0, page_));
  EXPECT_FALSE(RelationOutput::Create(Path("s"), 1));
  ASSERT_TRUE((*first)->Finish());
  EXPECT_EQ(fs::file_size(Path("s")), kBlockSize);
  EXPECT_TRUE(RelationOutput::Create(Path("s"), 1));
}

TEST_F(RelationOutputTest, AnEmptyRelationHasAnEmptyFile) {
  auto output = RelationOutput::Create(Path("r"), 0);
  ASSERT_TRUE(output && (*output)->Finish());
  EXPECT_EQ(fs::file_size(Path("r")), 0);
}

TEST(AbsentBlocks, RunsJoin) {
  AbsentBlocks absent;
  const auto add = [&](uint32_t block) {
    const BlockRun run = absent.Add(block);
    return std::pair(run.first, run.last);
  };
  EXPECT_EQ(add(5), std::pair(5u, 5u));
  EXPECT_EQ(add(7), std::pair(7u, 7u));
  EXPECT_EQ(add(8), std::pair(7u, 8u));
  EXPECT_EQ(add(6), std::pair(5u, 8u));
  EXPECT_EQ(add(4), std::pair(4u, 8u));
  EXPECT_EQ(add(0), std::pair(0u, 0u));
  EXPECT_EQ(add(UINT32_MAX), std::pair(UINT32_MAX, UINT32_MAX));
}

}  // namespace
}  // namespace neon_redo::cli

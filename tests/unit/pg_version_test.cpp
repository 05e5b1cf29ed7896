#include "cpp_core/pg/version.h"

#include <gtest/gtest.h>

#include <set>

#include "cpp_core/pg/paths.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

TEST(VersionTest, IsFoundByWhatNamesIt) {
  for (const pg::Version& version : pg::kVersions) {
    EXPECT_EQ(pg::FindVersionByMajor(version.major), &version);
    EXPECT_EQ(pg::FindVersionByWalMagic(version.wal_magic), &version);
    EXPECT_EQ(pg::FindVersionByControlFile(version.control_version, version.catalog_version),
              &version);
    EXPECT_EQ(pg::FindVersionByVersionFile(pg::VersionFileText(version)), &version);
  }
  EXPECT_EQ(pg::FindVersionByMajor(9), nullptr);
  EXPECT_EQ(pg::FindVersionByWalMagic(0), nullptr);
  EXPECT_EQ(pg::FindVersionByControlFile(kPg15.control_version, 1), nullptr);
  EXPECT_EQ(pg::VersionFileText(kPg15), "15\n");
  for (const char* text : {"", "\n", "15.1\n", "15x\n", "x", "9.6\n"})
    EXPECT_EQ(pg::FindVersionByVersionFile(text), nullptr) << text;
}

TEST(VersionTest, OperationsAreThoseOfTheVersion) {
  EXPECT_TRUE(kPg15.HasOperation(kRmHeap, layout::heap::kInsert | layout::heap::kInitPage));
  EXPECT_TRUE(kPg15.HasOperation(kRmXlog, layout::xlog::kOverwriteContrecord));
  EXPECT_FALSE(kPg15.HasOperation(kRmXlog, 0xe0));
  EXPECT_FALSE(kPg15.HasOperation(kRmSmgr, 0x00));
  EXPECT_FALSE(kPg15.HasOperation(kRmXact, 0x70));
  EXPECT_FALSE(kPg15.HasOperation(kMaxBuiltinRmgr + 1, 0x00));
  EXPECT_FALSE(kPg15.HasOperation(200, 0x00));
  for (const int major : {17, 18}) {
    const pg::Version& version = *pg::FindVersionByMajor(major);
    EXPECT_TRUE(version.HasOperation(kRmXlog, layout::xlog::kCheckpointRedo)) << major;
    EXPECT_FALSE(version.HasOperation(kRmXlog, 0xf0)) << major;
    EXPECT_TRUE(version.HasOperation(kRmHeap2, layout::heap2::kVisible)) << major;
  }
}

TEST(VersionTest, OperationsThatGo) {
  EXPECT_TRUE(kPg19.HasOperation(kRmXlog, layout::xlog::kLogicalDecodingChange));
  EXPECT_FALSE(kPg19.HasOperation(kRmHeap2, layout::heap2::kVisible));
  EXPECT_FALSE(kPg19.HasOperation(kRmGist, layout::gist::kAssignLsn));
  EXPECT_TRUE(kPg19.HasOperation(kRmHeap2, layout::heap2::kMultiInsert));
}

TEST(PathsTest, AreThoseOfTheServer) {
  EXPECT_EQ(pg::DatabasePath(kPg15, 1664, 0), "global");
  EXPECT_EQ(pg::DatabasePath(kPg15, 1663, 5), "base/5");
  EXPECT_EQ(pg::RelationPath(kPg15, {1664, 0, 1262}, kMainFork), "global/1262");
  EXPECT_EQ(pg::RelationPath(kPg15, {16400, 5, 7}, kFreeSpaceMapFork),
            "pg_tblspc/16400/PG_15_202209061/5/7_fsm");
  EXPECT_EQ(pg::RelationPath(kPg18, {16400, 5, 7}, kMainFork),
            "pg_tblspc/16400/PG_18_202506291/5/7");
  EXPECT_EQ(pg::BlockFilePath(kPg15, {{1663, 5, 7}, kMainFork, 131071}), "base/5/7");
  EXPECT_EQ(pg::BlockFilePath(kPg15, {{1663, 5, 7}, kInitFork, 3 * 131072}), "base/5/7_init.3");
}

TEST(PathsTest, StatesOfPreparedTransactions) {
  constexpr uint64_t kNext = uint64_t{5} << 32 | 0x1000;
  EXPECT_EQ(pg::TwoPhasePath(kPg15, 0x30a, kNext), "pg_twophase/0000030A");
  EXPECT_EQ(pg::TwoPhasePath(kPg17, 0x30a, kNext), "pg_twophase/000000050000030A");
  EXPECT_EQ(pg::TwoPhasePath(kPg17, 0xffff0000, kNext), "pg_twophase/00000004FFFF0000");
  EXPECT_EQ(pg::TwoPhasePath(kPg18, 0xffff0000, 7), "pg_twophase/00000000FFFF0000");
  EXPECT_EQ(pg::TwoPhasePath(kPg18, 9, 7), "pg_twophase/0000000000000009");
  EXPECT_EQ(pg::TwoPhasePath(kPg18, 5, uint64_t{3} << 32 | 0xfffffff0),
            "pg_twophase/0000000400000005");
  EXPECT_EQ(pg::ParseTwoPhaseName(kPg15, "0000030A"), 0x30au);
  EXPECT_EQ(pg::ParseTwoPhaseName(kPg18, "000000050000030A"), 0x30au);
  EXPECT_EQ(pg::ParseTwoPhaseName(kPg17, "0000030A"), std::nullopt);
  EXPECT_EQ(pg::ParseTwoPhaseName(kPg15, "000000050000030A"), std::nullopt);
  EXPECT_EQ(pg::ParseTwoPhaseName(kPg15, "0000030a"), std::nullopt);
  EXPECT_EQ(pg::ParseTwoPhaseName(kPg15, "0000030G"), std::nullopt);
}

TEST(PathsTest, NamesOfRelationFiles) {
  const auto name = pg::ParseRelationFileName("16384_vm.2");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->rel, 16384u);
  EXPECT_EQ(name->fork, kVisibilityMapFork);
  EXPECT_EQ(name->segment, 2u);
  EXPECT_EQ(pg::ParseRelationFileName("7")->fork, kMainFork);
  for (const char* text :
       {"", "0", "07", "t3_16384", "16384_main", "16384_x", "16384.0", "16384.", "16384_", "_vm",
        "16384.1.2", "16384.32768", "pg_filenode.map", "99999999999"})
    EXPECT_FALSE(pg::ParseRelationFileName(text)) << text;
}

}  // namespace
}  // namespace neon_redo

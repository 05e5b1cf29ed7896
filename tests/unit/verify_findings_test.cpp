// What verification has found: runs of blocks, limits, pages in each other's place.
#include "cpp_core/verify/findings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

#include "neon_redo/verify.h"

namespace neon_redo {
namespace {

// However much is lost, it is a few findings.
TEST(Findings, RunsOfBlocksAndALimit) {
  VerifyResult result;
  const auto missing = [](uint32_t block, Damage damage = Damage::kMissingFile) {
    Mismatch m;
    m.tag = {{1663, 5, 1}, kMainFork, block};
    m.lsn = Lsn(1000 - block);
    m.damage = damage;
    m.problem = damage == Damage::kMissingFile ? "gone" : fmt::format("page {}", block);
    return m;
  };
  {
    Findings odd, even;  // two partitions, each with every second run of 64 blocks
    for (uint32_t block = 0; block < 512; block++)
      (block / 64 % 2 ? odd : even).Different(1, true, missing(block));
    odd.AddTo(&result);
    even.AddTo(&result);
    ListInOrder(&result);
  }
  ASSERT_EQ(result.mismatches.size(), 1u);
  EXPECT_EQ(result.mismatches[0].blocks, 512u);
  EXPECT_EQ(result.mismatches[0].tag.block, 0u);
  EXPECT_EQ(result.different, 512u);
  EXPECT_EQ(result.damage["missing file"], 512u);
  EXPECT_EQ(result.by_rmgr[1].different, 512u);
  Findings few(2);
  for (uint32_t block = 600; block < 605; block++)
    few.Different(1, true, missing(block, Damage::kContent));
  for (int i = 0; i < 3; i++) few.Note(missing(700));
  few.AddTo(&result);
  ListInOrder(&result);
  EXPECT_EQ(result.notes.size(), 2u);
  EXPECT_EQ(result.notes_not_listed, 1u);
  EXPECT_EQ(result.mismatches.size(), 3u);
  EXPECT_EQ(result.not_listed, 3u);
  EXPECT_EQ(result.different, 517u);
  EXPECT_EQ(result.damage["content"], 5u);
}

TEST(FindMisplaced, PagesOfEachOther) {
  std::vector<Mismatch> mismatches(4);
  mismatches[0].rebuilt_hash = 1, mismatches[0].disk_hash = 2;
  mismatches[1].rebuilt_hash = 2, mismatches[1].disk_hash = 1;
  mismatches[2].rebuilt_hash = 1, mismatches[2].disk_hash = 1;  // differs in what is masked
  mismatches[3].rebuilt_hash = 4, mismatches[3].disk_hash = 5;
  FindMisplaced(&mismatches);
  EXPECT_EQ(mismatches[0].damage, Damage::kMisplaced);
  EXPECT_EQ(mismatches[1].damage, Damage::kMisplaced);
  EXPECT_EQ(mismatches[2].damage, Damage::kNone);
  EXPECT_EQ(mismatches[3].damage, Damage::kNone);
}

// Deleted pages, and metapages, are alike but for their LSNs.
TEST(FindMisplaced, AlikePagesAreToldByTheirLsns) {
  std::vector<Mismatch> mismatches(4);
  const auto set = [&](size_t i, uint64_t rebuilt, uint64_t lsn, uint64_t disk, uint64_t disk_lsn) {
    mismatches[i].rebuilt_hash = rebuilt, mismatches[i].disk_hash = disk;
    mismatches[i].rebuilt_lsn = mismatches[i].lsn = Lsn(lsn),
    mismatches[i].disk_lsn = Lsn(disk_lsn);
  };
  set(0, 1, 100, 1, 200);
  set(1, 1, 200, 1, 100);
  set(2, 1, 300, 1, 50);  // stale
  set(3, 2, 400, 1, 60);  // stale, and once what others are now
  FindMisplaced(&mismatches);
  EXPECT_EQ(mismatches[0].damage, Damage::kMisplaced);
  EXPECT_EQ(mismatches[1].damage, Damage::kMisplaced);
  EXPECT_EQ(mismatches[2].damage, Damage::kNone);
  EXPECT_EQ(mismatches[3].damage, Damage::kNone);
}

}  // namespace
}  // namespace neon_redo

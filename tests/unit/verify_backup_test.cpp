// The parts of a check of a base backup that need no server.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/verify/backup_reader.h"
#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/failing_calls.h"

namespace neon_redo {
namespace {

const pg::Version& kVersion = *pg::FindVersionByMajor(15);

class Page {
 public:
  Page() {
    pg::SetLower(bytes_, 28);
    pg::SetUpper(bytes_, 8000);
    pg::SetSpecial(bytes_, kBlockSize);
    pg::SetSizeAndVersion(bytes_, kPageSizeAndVersion);
    std::memset(bytes_ + 8000, 7, kBlockSize - 8000);
  }
  uint8_t* bytes() { return bytes_; }
  Page& Seal(uint32_t block) {
    pg::SetChecksum(bytes_, PageChecksum(bytes_, block));
    return *this;
  }
  Damage Check(uint32_t block, bool checksums) const {
    const auto bad = CheckPage(bytes_, block, checksums);
    return bad ? bad->damage : Damage::kNone;
  }

 private:
  alignas(8) uint8_t bytes_[kBlockSize] = {};
};

TEST(CheckPage, ChecksumsAndBlocks) {
  Page page;
  EXPECT_EQ(page.Check(3, false), Damage::kNone);
  EXPECT_EQ(page.Check(3, true), Damage::kChecksum);
  page.Seal(3);
  EXPECT_EQ(page.Check(3, true), Damage::kNone);
  EXPECT_EQ(page.Check(4, true), Damage::kChecksum);
  for (const size_t at : {0u, 24u, 4000u, 8191u}) {
    Page flipped = page;
    flipped.bytes()[at] ^= 1;
    EXPECT_EQ(flipped.Check(3, true), Damage::kChecksum) << at;
  }
}

TEST(CheckPage, Headers) {
  const auto damage = [](size_t at, uint16_t value) {
    Page page;
    pg::Put16(page.bytes() + at, value);
    return page.Seal(0).Check(0, true);
  };
  EXPECT_EQ(damage(kPageLowerAt, 8001), Damage::kHeader);
  EXPECT_EQ(damage(kPageLowerAt, 20), Damage::kHeader);
  EXPECT_EQ(damage(kPageUpperAt, 0), Damage::kHeader);
  EXPECT_EQ(damage(kPageSpecialAt, 7992), Damage::kHeader);
  EXPECT_EQ(damage(kPageSpecialAt, 8193), Damage::kHeader);
  EXPECT_EQ(damage(kPageSpecialAt, 8190), Damage::kHeader);
  EXPECT_EQ(damage(kPageFlagsAt, 8), Damage::kHeader);
  EXPECT_EQ(damage(kPageFlagsAt, 7), Damage::kNone);
  EXPECT_EQ(damage(kPageSizeAndVersionAt, 4096 | 4), Damage::kHeader);
  EXPECT_EQ(damage(kPageSizeAndVersionAt, 8192 | 3), Damage::kHeader);
  uint8_t zeroes[kBlockSize] = {};
  EXPECT_FALSE(CheckPage(zeroes, 0, true));
  zeroes[8191] = 1;
  EXPECT_TRUE(CheckPage(zeroes, 0, true));
}

TEST(BackupFiles, RelationPaths) {
  using Tag = BlockTag;
  EXPECT_EQ(pg::ParseRelationPath(kVersion, "base/5/16384"), (Tag{{1663, 5, 16384}}));
  EXPECT_EQ(pg::ParseRelationPath(kVersion, "base/5/16384_vm.2"),
            (Tag{{1663, 5, 16384}, kVisibilityMapFork, 262144}));
  EXPECT_EQ(pg::ParseRelationPath(kVersion, "global/1262"), (Tag{{1664, 0, 1262}}));
  EXPECT_EQ(pg::ParseRelationPath(kVersion, "pg_tblspc/9/PG_15_202209061/5/7"), (Tag{{9, 5, 7}}));
  for (const char* path : {"16384", "base/16384", "base/5/t3_16384", "base/5/pg_filenode.map",
                           "base/x/7", "pg_tblspc/9/PG_14_1/5/7", "pg_tblspc/PG_15_202209061/5/7",
                           "pg_tblspc//PG_15_202209061/5/7", "pg_xact/0000", "global/5/7", ""})
    EXPECT_FALSE(pg::ParseRelationPath(kVersion, path)) << path;
}

class BackupDirectory : public testing::Test {
 protected:
  BackupDirectory() {
    char name[] = "/tmp/neon_redo.backup.XXXXXX";
    directory_ = mkdtemp(name);
    backup_ = DataDirectory(directory_);
  }
  ~BackupDirectory() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& path, const std::string& content) {
    const std::filesystem::path whole = directory_ + "/" + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole, std::ios::binary) << content;
  }
  static std::string PageText(uint32_t block) {
    Page page;
    page.Seal(block);
    return {reinterpret_cast<const char*>(page.bytes()), kBlockSize};
  }
  // Without the control file, which only says of what version it is. No planned fault is met by it.
  Result<BaseFiles> List() {
    Write(pg::kControlFile, ControlFileOf(kVersion));
    const auto plan = std::exchange(pread_plan, {});
    auto list = backup_->List();
    pread_plan = plan;
    if (list) list->files.erase(pg::kControlFile);
    return list;
  }
  BackupReadResult Read(const BackupManifest* manifest = nullptr, int jobs = 1) {
    const auto list = List();
    EXPECT_TRUE(list);
    auto result = ReadBackupFiles({backup_.get(), &kVersion, true, jobs, {}}, *list, manifest);
    EXPECT_TRUE(result);
    return std::move(*result);
  }

  std::string directory_;
  std::unique_ptr<BaseBackup> backup_;
};

TEST_F(BackupDirectory, Lists) {
  Write("base/5/16384", "");
  Write("elsewhere/PG_15_202209061/5/7", "xx");
  Write("elsewhere/PG_14_202107181/5/7", "xx");
  std::filesystem::create_directories(directory_ + "/pg_tblspc");
  std::filesystem::create_directories(directory_ + "/empty");
  const auto link = [&](const char* target, const char* name) {
    std::filesystem::create_symlink(target, directory_ + "/pg_tblspc/" + name);
  };
  link("../elsewhere", "9");
  link("/nonexistent", "10");
  link("../empty", "11");
  link("12", "12");
  std::filesystem::create_symlink("base", directory_ + "/link");
  const auto list = List();
  ASSERT_TRUE(list);
  EXPECT_EQ(list->files.at("base/5/16384").size, 0u);
  EXPECT_EQ(list->files.at("pg_tblspc/9/PG_15_202209061/5/7").size, 2u);
  EXPECT_EQ(list->files.at("link").strange, "a symbolic link");
  EXPECT_FALSE(list->files.contains("pg_tblspc/9/PG_14_202107181/5/7"));
  EXPECT_EQ(list->tablespaces.at(9).state, BaseTablespace::kThere);
  EXPECT_EQ(list->tablespaces.at(10).state, BaseTablespace::kBroken);
  EXPECT_EQ(list->tablespaces.at(11).state, BaseTablespace::kNoVersion);
  EXPECT_EQ(list->tablespaces.at(12).state, BaseTablespace::kBroken);
}

TEST_F(BackupDirectory, BadPages) {
  std::string wrong = PageText(1);
  wrong[5000] ^= 1;
  Write("base/5/7", PageText(0) + wrong + std::string(kBlockSize, '\0') + PageText(3) + "end");
  Write("base/5/8", PageText(0) + std::string(100, '\0'));
  Write("base/5/9.1", PageText(131072));
  for (const int jobs : {1, 4}) {
    const auto result = Read(nullptr, jobs);
    EXPECT_EQ(result.files, 3u);
    EXPECT_EQ(result.pages, 6u);
    ASSERT_EQ(result.bad_pages.size(), 2u);
    EXPECT_EQ(result.bad_pages.at({{1663, 5, 7}, 0, 1}).damage, Damage::kChecksum);
    EXPECT_EQ(result.bad_pages.at({{1663, 5, 7}, 0, 4}).damage, Damage::kShortFile);
    EXPECT_EQ(result.findings.different(), 0u);
  }
}

TEST_F(BackupDirectory, WhatCannotBeReadIsAFinding) {
  Write("base/5/7", PageText(0));
  Write("pg_xact/0000", std::string(kBlockSize, '\0'));
  Write("pg_commit_ts/0000", std::string(kBlockSize, '\0'));
  Write("pg_twophase/0000030A", "state");
  Write("postgresql.conf", "");
  int calls = 0;
  for (;; calls++) {
    pread_plan = {calls, EIO};
    const auto result = Read();
    const bool all_went_well = pread_plan.error != 0;
    pread_plan = {};
    if (all_went_well) break;
    EXPECT_EQ(result.files, 3u) << calls;
    EXPECT_EQ(result.findings.different(), 1u) << calls;
    EXPECT_EQ(result.unreadable.size(), 1u) << calls;
  }
  EXPECT_GE(calls, 4);
}

TEST_F(BackupDirectory, AFileThatChangesMeanwhile) {
  Write("base/5/7", PageText(0) + PageText(1));
  auto list = List();
  ASSERT_TRUE(list);
  std::filesystem::resize_file(directory_ + "/base/5/7", kBlockSize);
  const auto result = ReadBackupFiles({backup_.get(), &kVersion, true, 1, {}}, *list, nullptr);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->unreadable, std::set<std::string>{"base/5/7"});
  std::filesystem::remove(directory_ + "/base/5/7");
  const auto gone = ReadBackupFiles({backup_.get(), &kVersion, true, 1, {}}, *list, nullptr);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->unreadable, std::set<std::string>{"base/5/7"});
}

TEST_F(BackupDirectory, ChecksumsOfTheManifest) {
  BackupManifest manifest;
  Write("a", "abc");
  Write("b", "abd");
  Write("c", "longer");
  for (const char* path : {"a", "b", "c"}) {
    auto checksum = FileChecksum::Make(ChecksumKind::kSha224);
    ASSERT_TRUE(checksum && checksum->Add(Bytes(reinterpret_cast<const uint8_t*>("abc"), 3)));
    manifest.files.push_back({path, 3, ChecksumKind::kSha224, *checksum->Finish()});
  }
  const auto result = Read(&manifest);
  EXPECT_EQ(result.checksums, 1u);
  EXPECT_EQ(result.findings.different(), 1u);  // another size is for whoever has the manifest
  VerifyResult report;
  result.findings.AddTo(&report);
  ASSERT_EQ(report.mismatches.size(), 1u);
  EXPECT_EQ(report.mismatches[0].file, "b");
  EXPECT_EQ(report.mismatches[0].damage, Damage::kChecksum);
}

}  // namespace
}  // namespace neon_redo

// Barman's backup.info and its layouts.
#include "cpp_core/backup/barman_info.h"

#include <gtest/gtest.h>

#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

using Tablespaces = std::map<uint32_t, std::string>;

TEST(BarmanInfo, WhatBarmanWrites) {
  const auto info = ParseBarmanInfo(
      "backup_label='START WAL LOCATION: 0/2000028'\nstatus=DONE\nparent_backup_id=None\n"
      "tablespaces=[('ts', 16384, '/a b'), (\"it's\", 16385, '/c\\n\\\\\\x41')]\nversion=150020\n",
      "x");
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->status, "DONE");
  EXPECT_EQ(info->parent_id, "");
  EXPECT_EQ(info->tablespaces, (Tablespaces{{16384, "/a b"}, {16385, "/c\n\\A"}}));
  EXPECT_EQ(ParseBarmanInfo("tablespaces=None\n", "x")->tablespaces, Tablespaces());
  EXPECT_EQ(ParseBarmanInfo("tablespaces=[]", "x")->tablespaces, Tablespaces());
}

TEST(BarmanInfo, WhatItDoesNot) {
  const std::string good = "[('ts', 16384, '/a'), ('u', 16385, '/b')]";
  ASSERT_TRUE(ParseBarmanInfo("tablespaces=" + good, "x"));
  for (size_t size = 0; size < good.size(); size++) {
    const auto info = ParseBarmanInfo("status=x\ntablespaces=" + good.substr(0, size), "\"x\"");
    ASSERT_FALSE(info) << size;
    EXPECT_EQ(info.error().message, "\"x\" at byte 9: this is no list of tablespaces");
  }
  for (const char* list : {"[('ts', 0, '/a')]", "[('ts', 4294967296, '/a')]", "[('ts', 1)]",
                           "[('a', 1, '/a'), ('b', 1, '/b')]", "[('a', 1, '/a')]x",
                           "[('a', 1, '\\x4')]", "[('a', 1, '\\", "[,('a', 1, '/a')]"})
    EXPECT_FALSE(ParseBarmanInfo(std::string("tablespaces=") + list, "x")) << list;
  EXPECT_FALSE(ParseBarmanInfo("status", "x"));
}

class BarmanTest : public testing::Test {
 protected:
  std::string Write(const std::string& id, const std::string& info, const std::string& label) {
    const std::string backup = server_ + "/base/" + id;
    WriteText(backup + "/data/PG_VERSION", "17\n");
    WriteText(backup + "/data/global/pg_control", ControlFileOf(kPg17));
    WriteText(backup + "/data/backup_label", label);
    WriteText(backup + "/backup.info", "status=DONE\n" + info);
    std::filesystem::create_directories(server_ + "/wals");
    return backup;
  }
  static std::string From(const std::string& lsn) {
    return "INCREMENTAL FROM LSN: " + lsn + "\nINCREMENTAL FROM TLI: 1\n";
  }

  TempDirectory directory_;
  const std::string server_ = directory_.path() + "/main";
};

// Barman 3.13 moved the file there.
TEST_F(BarmanTest, InfoInTheDirectoryMeta) {
  const std::string first = Write("20260101T000000", "", LabelAt("0/2000028"));
  const std::string second = Write("20260102T000000", "", LabelAt("0/3000028"));
  for (const std::string& backup : {first, second}) {
    const std::string id = backup.substr(backup.rfind('/') + 1);
    std::filesystem::create_directories(server_ + "/meta");
    std::filesystem::rename(backup + "/backup.info", server_ + "/meta/" + id + "-backup.info");
  }
  EXPECT_EQ((*OpenBaseBackup(first, {}))->Label()->start, Lsn(0x2000028));
  EXPECT_EQ((*OpenBaseBackup(first + "/", {}))->path(), first);
  EXPECT_EQ((*OpenBaseBackup(server_, {}))->Label()->start, Lsn(0x3000028));
  BaseBackupOptions options;
  options.label = "20260101T000000";
  EXPECT_EQ((*OpenBaseBackup(server_, options))->Label()->start, Lsn(0x2000028));
  for (const char* label : {"20260103T000000", "..", "../base/20260101T000000", "."}) {
    options.label = label;
    EXPECT_NE(ErrorOf(OpenBaseBackup(server_, options)).find("has no backup"), std::string::npos);
  }
}

TEST_F(BarmanTest, IncompleteBackupsAreNotTheNewest) {
  Write("20260101T000000", "", LabelAt("0/2000028"));
  const std::string failed = Write("20260102T000000", "status=FAILED\n", LabelAt("0/3000028"));
  EXPECT_EQ((*OpenBaseBackup(server_, {}))->Label()->start, Lsn(0x2000028));
  EXPECT_NE(ErrorOf(OpenBaseBackup(failed, {})).find("its status is FAILED"), std::string::npos);
  std::filesystem::remove_all(server_ + "/base/20260101T000000");
  EXPECT_NE(ErrorOf(OpenBaseBackup(server_, {})).find("no complete Barman backup"),
            std::string::npos);
}

TEST_F(BarmanTest, ParentsOfAnIncrementalBackup) {
  Write("1", "", LabelAt("0/2000028"));
  Write("2", "parent_backup_id=1\n", LabelAt("0/3000028", 1, From("0/2000028")));
  const std::string newest =
      Write("3", "parent_backup_id=2\n", LabelAt("0/4000028", 1, From("0/3000028")));
  const auto backup = OpenBaseBackup(newest, {});
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_EQ((*backup)->Links().size(), 3u);
  for (const char* parent : {"3", "2", "../1", "..", "a/b"}) {
    Write("2", fmt::format("parent_backup_id={}\n", parent),
          LabelAt("0/3000028", 1, From("0/2000028")));
    EXPECT_NE(ErrorOf(OpenBaseBackup(newest, {})).find("which cannot be"), std::string::npos);
  }
  Write("2", "parent_backup_id=9\n", LabelAt("0/3000028", 1, From("0/2000028")));
  EXPECT_NE(ErrorOf(OpenBaseBackup(newest, {})).find("base/9"), std::string::npos);
}

TEST_F(BarmanTest, TablespacesLieBesideTheData) {
  const std::string name = std::string("pg_tblspc/16384/") + kPg17.tablespace_directory + "/5/1";
  const std::string backup =
      Write("1", "tablespaces=[('ts', 16384, '/was/there'), ('u', 16385, '/lost')]\n",
            LabelAt("0/2000028"));
  WriteText(backup + "/16384/" + kPg17.tablespace_directory + "/5/1", "abc");
  // As pg_basebackup leaves it, before somebody moved Barman's home.
  std::filesystem::create_directories(backup + "/data/pg_tblspc");
  std::filesystem::create_symlink("/elsewhere", backup + "/data/pg_tblspc/16384");
  const auto opened = OpenBaseBackup(backup, {});
  const auto files = (*opened)->List();
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->tablespaces.at(16384).state, BaseTablespace::kThere);
  EXPECT_EQ(files->tablespaces.at(16384).target, "/was/there");
  EXPECT_EQ(files->tablespaces.at(16385).state, BaseTablespace::kBroken);
  EXPECT_EQ(files->files.at(name).size, 3u);
  EXPECT_EQ((*opened)->ReadWhole(name, 9), "abc");
}

TEST_F(BarmanTest, NoLinkIsFollowed) {
  const std::string backup =
      Write("1", "tablespaces=[('ts', 16384, '/was/there')]\n", LabelAt("0/2000028"));
  const std::string outside = directory_.path() + "/outside";
  WriteText(outside + "/" + kPg17.tablespace_directory + "/5/1", "abc");
  std::filesystem::create_directory_symlink(outside, backup + "/16384");
  const auto opened = OpenBaseBackup(backup, {});
  ASSERT_TRUE(opened) << opened.error().message;
  const auto files = (*opened)->List();
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->tablespaces.at(16384).state, BaseTablespace::kBroken);
  EXPECT_EQ(files->tablespaces.at(16384).target, "/was/there");
  EXPECT_EQ(files->files.size(), 3u);
  std::filesystem::rename(backup + "/backup.info", outside + "/info");
  std::filesystem::create_directories(server_ + "/meta");
  for (const std::string& place : {server_ + "/meta/1-backup.info", backup + "/backup.info"}) {
    std::filesystem::create_symlink(outside + "/info", place);
    ErrorCode code{};
    EXPECT_NE(ErrorOf(OpenBaseBackup(backup, {}), &code).find("symbolic link"), std::string::npos);
    EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace neon_redo

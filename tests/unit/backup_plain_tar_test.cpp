// Base backups as directories and as tar archives: what is there, and what hostile ones may hold.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpp_core/backup/base_backup.h"
#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

const std::string kVersionDirectory = kPg15.tablespace_directory;

class BackupTest : public testing::Test {
 protected:
  // As of the version 15.
  void WritePlain(const std::string& where) {
    WriteText(where + "/PG_VERSION", "15\n");
    WriteText(where + "/global/pg_control", ControlFileOf(kPg15));
    WriteText(where + "/backup_label", LabelAt("0/2000028"));
    WriteText(where + "/base/5/1259", content_);
    WriteText(where + "/pg_wal/000000010000000000000002", "wal");
    std::filesystem::create_directories(where + "/pg_tblspc");
  }
  Tar BaseTar() const {
    Tar tar;
    tar.Add("backup_label", LabelAt("0/2000028"));
    tar.Add("global", "", '5').Add("global/pg_control", ControlFileOf(kPg15));
    tar.Add("base/", "", '5').Add("base/5/", "", '5').Add("base/5/1259", content_);
    tar.Add("pg_tblspc", "", '5').Add("PG_VERSION", "15\n");
    return tar;
  }
  Result<std::unique_ptr<BaseBackup>> Open(const std::string& path) const {
    BaseBackupOptions options;
    options.spool_directory = directory_.path();
    return OpenBaseBackup(path, options);
  }
  // Of one in which base.tar has these bytes.
  std::string TarError(const std::string& bytes, const std::string& suffix = "") {
    std::filesystem::remove_all(tar_);
    WriteText(tar_ + "/base.tar" + suffix, bytes);
    return ErrorOf(Open(tar_));
  }

  TempDirectory directory_;
  const std::string plain_ = directory_.path() + "/plain";
  const std::string tar_ = directory_.path() + "/tar";
  const std::string content_ = Noise(100'000);
};

TEST_F(BackupTest, PlainDirectory) {
  WritePlain(plain_);
  const auto backup = Open(plain_);
  ASSERT_TRUE(backup) << backup.error().message;
  const auto files = (*backup)->List();
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->files.size(), 5u);
  EXPECT_EQ(files->files.at("base/5/1259"), (BaseFileInfo{100'000, ""}));
  EXPECT_TRUE(files->directories.contains("base/5"));
  EXPECT_EQ(ReadBackwards(**backup, "base/5/1259", content_.size()), content_);
  EXPECT_EQ((*backup)->ReadWhole("PG_VERSION", 10), "15\n");
  EXPECT_EQ((*backup)->Label()->start, Lsn(0x2000028));
  EXPECT_EQ((*backup)->ControlFile()->version, &kPg15);
  EXPECT_FALSE((*backup)->Manifest()->has_value());
  EXPECT_FALSE((*backup)->ReadIfThere("tablespace_map", 100)->has_value());
  ErrorCode code{};
  ErrorOf((*backup)->OpenFile("base/5/1"), &code);
  EXPECT_EQ(code, ErrorCode::kNotFound);
  EXPECT_FALSE((*backup)->ReadWhole("base/5/1259", 99'999));
}

// What lies on disk is asked for later, perhaps after long unpacking.
TEST_F(BackupTest, TarThatChangedAfterItWasOpened) {
  const std::string path = tar_ + "/base.tar";
  const auto error_of = [](const BaseBackup& backup) {
    const auto stored = backup.Stored(*backup.List());
    if (stored) return std::string();
    EXPECT_EQ(stored.error().code, ErrorCode::kInvalidArgument);
    return stored.error().message;
  };
  BaseBackupOptions options;
  options.awaits_age = true;
  WriteText(path, BaseTar().Whole());
  const auto backup = OpenBaseBackup(tar_, options);
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_EQ(error_of(**backup), "");
  WriteText(path, BaseTar().Whole());
  EXPECT_NE(error_of(**backup).find("was changed after it was opened"), std::string::npos);
  std::filesystem::remove(path);
  EXPECT_NE(error_of(**backup).find("was changed after it was opened"), std::string::npos);
  // It may change once more within the same tick of the clock.
  WriteText(path, BaseTar().Whole());
  const auto young = OpenBaseBackup(tar_, {});
  ASSERT_TRUE(young) << young.error().message;
  EXPECT_NE(error_of(**young).find("less than a second before"), std::string::npos);
}

TEST_F(BackupTest, TablespacesOfAPlainDirectory) {
  WritePlain(plain_);
  const std::string far = directory_.path() + "/far";
  WriteText(far + "/" + kVersionDirectory + "/5/16400", "abc");
  WriteText(far + "/PG_14_202107181/5/1", "of another version");
  std::filesystem::create_symlink(far, plain_ + "/pg_tblspc/16399");
  std::filesystem::create_symlink("/nowhere", plain_ + "/pg_tblspc/16500");
  std::filesystem::create_directories(plain_ + "/pg_tblspc/16600");
  WriteText(plain_ + "/pg_tblspc/16700/" + kVersionDirectory, "no directory");
  const auto backup = Open(plain_);
  const auto files = (*backup)->List();
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->tablespaces.at(16399).state, BaseTablespace::kThere);
  EXPECT_EQ(files->tablespaces.at(16399).target, far);
  EXPECT_EQ(files->tablespaces.at(16500).state, BaseTablespace::kBroken);
  EXPECT_EQ(files->tablespaces.at(16600).state, BaseTablespace::kNoVersion);
  EXPECT_EQ(files->tablespaces.at(16700).state, BaseTablespace::kNoVersion);
  EXPECT_EQ(files->files.size(), 6u);
  EXPECT_EQ((*backup)->ReadWhole("pg_tblspc/16399/" + kVersionDirectory + "/5/16400", 9), "abc");
}

TEST_F(BackupTest, NothingOutsideAPlainDirectoryIsRead) {
  WritePlain(plain_);
  WriteText(directory_.path() + "/secret", "secret");
  std::filesystem::create_symlink("../../../secret", plain_ + "/base/5/1");
  std::filesystem::create_directory_symlink("../..", plain_ + "/base/6");
  ASSERT_EQ(mkfifo((plain_ + "/base/5/2").c_str(), 0600), 0);
  const auto backup = Open(plain_);
  const auto files = (*backup)->List();
  ASSERT_TRUE(files);
  EXPECT_EQ(files->files.at("base/5/1").strange, "a symbolic link");
  EXPECT_EQ(files->files.at("base/6").strange, "a symbolic link");
  EXPECT_EQ(files->files.at("base/5/2").strange, "a FIFO");
  for (const char* name : {"base/5/1", "base/6/secret", "base/5/2", "../secret", "/etc/passwd",
                           "base/../../secret", "", "base//5/1259", "."})
    EXPECT_FALSE((*backup)->OpenFile(name)) << name;
}

TEST_F(BackupTest, WhatIsNoBackup) {
  ErrorCode code{};
  ErrorOf(Open(directory_.path() + "/none"), &code);
  EXPECT_EQ(code, ErrorCode::kNotFound);
  WriteText(plain_ + "/readme", "hello");
  EXPECT_NE(ErrorOf(Open(plain_), &code).find("no base backup"), std::string::npos);
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  ASSERT_EQ(mkfifo((plain_ + "/fifo").c_str(), 0600), 0);
  for (const char* name : {"/readme", "/fifo"}) {
    EXPECT_NE(ErrorOf(Open(plain_ + name), &code).find("neither a directory nor a base.tar"),
              std::string::npos);
    EXPECT_EQ(code, ErrorCode::kInvalidArgument) << name;
  }
}

// What is in it is not known, and so not that it is no backup.
TEST_F(BackupTest, ADirectoryThatCannotBeLookedInto) {
  std::string path = directory_.path();
  while (path.size() < 4090)
    path += "/" + std::string(std::min<size_t>(200, 4090 - path.size() - 1), 'x');
  std::filesystem::create_directories(path);
  ErrorCode code{};
  EXPECT_NE(ErrorOf(Open(path), &code).find("too long"), std::string::npos);
  EXPECT_EQ(code, ErrorCode::kIo);
}

// An incremental backup would else be opened as a full one.
TEST_F(BackupTest, ALabelThatCannotBeReadIsNotNone) {
  WritePlain(plain_);
  std::filesystem::rename(plain_ + "/backup_label", directory_.path() + "/label");
  EXPECT_TRUE(Open(plain_));
  std::filesystem::create_symlink("../label", plain_ + "/backup_label");
  EXPECT_NE(ErrorOf(Open(plain_)).find("backup_label\": it is, or lies below, a symbolic link"),
            std::string::npos);
}

TEST_F(BackupTest, TarOfEveryKind) {
  const std::string below = kVersionDirectory + "/5/16400";
  Tar base = BaseTar(), wal, far;
  base.Add("tablespace_map", "16399 /far/away\n17000 /lost\n");
  far.Add(kVersionDirectory, "", '5').Add(kVersionDirectory + "/5/", "", '5').Add(below, "abc");
  wal.Add("000000010000000000000002", "wal");
  for (const Packing packing : {Packing::kNone, Packing::kGzip, Packing::kLz4, Packing::kZstd}) {
    std::filesystem::remove_all(tar_);
    const std::string suffix = PackingSuffix(packing);
    WriteText(tar_ + "/base.tar" + suffix, Packed(base.Whole(), packing));
    WriteText(tar_ + "/16399.tar" + suffix, Packed(far.Whole(), packing));
    // pg_receivewal's code packs it with gzip only.
    const bool is_gzip = packing == Packing::kGzip;
    WriteText(tar_ + (is_gzip ? "/pg_wal.tar.gz" : "/pg_wal.tar"),
              is_gzip ? Packed(wal.Whole(), packing) : wal.Whole());
    WriteText(tar_ + "/backup_manifest", "not read");
    WriteText(tar_ + "/notes.tar", "not read");
    for (const std::string& path : {tar_, tar_ + "/base.tar" + suffix}) {
      const auto backup = Open(path);
      ASSERT_TRUE(backup) << backup.error().message;
      const auto files = (*backup)->List();
      ASSERT_TRUE(files) << files.error().message;
      EXPECT_EQ(files->files.size(), 8u);
      EXPECT_EQ(files->files.at("base/5/1259"), (BaseFileInfo{100'000, ""}));
      EXPECT_TRUE(files->directories.contains("base/5"));
      EXPECT_TRUE(files->directories.contains("pg_tblspc/16399/" + kVersionDirectory + "/5"));
      EXPECT_EQ(files->tablespaces.at(16399).target, "/far/away");
      EXPECT_EQ(files->tablespaces.at(16399).state, BaseTablespace::kThere);
      EXPECT_EQ(files->tablespaces.at(17000).state, BaseTablespace::kBroken);
      EXPECT_EQ(ReadBackwards(**backup, "base/5/1259", content_.size()), content_);
      EXPECT_EQ((*backup)->ReadWhole("pg_tblspc/16399/" + below, 9), "abc");
      EXPECT_EQ((*backup)->ReadWhole("pg_wal/000000010000000000000002", 9), "wal");
      EXPECT_EQ((*backup)->ReadWhole("backup_manifest", 99), "not read");
      EXPECT_EQ((*backup)->Label()->start, Lsn(0x2000028));
      EXPECT_EQ((*backup)->spooled() > 0, packing != Packing::kNone);
    }
  }
  WriteText(tar_ + "/base.tar", base.Whole());
  EXPECT_NE(ErrorOf(Open(tar_)).find("has both base.tar and base.tar.zst"), std::string::npos);
}

TEST_F(BackupTest, StrangeEntriesOfATar) {
  WriteText(tar_ + "/base.tar", BaseTar()
                                    .Add("base/5/1", "", '2', "/etc/passwd")
                                    .Add("base/5/2", "", '1', "base/5/1259")
                                    .Add("base/5/3", "", '6')
                                    .Whole());
  const auto backup = Open(tar_);
  ASSERT_TRUE(backup) << backup.error().message;
  const auto files = (*backup)->List();
  EXPECT_EQ(files->files.at("base/5/1").strange, "a symbolic link");
  EXPECT_EQ(files->files.at("base/5/2").strange, "a hard link");
  EXPECT_EQ(files->files.at("base/5/3").strange, "a FIFO");
  for (const char* name : {"base/5/1", "base/5/2", "base/5/3"}) {
    ErrorCode code{};
    ErrorOf((*backup)->OpenFile(name), &code);
    EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  }
}

TEST_F(BackupTest, HostileTars) {
  const Tar whole = BaseTar();
  EXPECT_EQ(TarError(whole.Whole()), "");
  EXPECT_EQ(TarError(whole.Whole() + std::string(8192, '\0')), "");
  for (const char* name : {"../x", "/etc/passwd", "base/../../x", "base//x", "base/./x"}) {
    Tar tar = whole;
    EXPECT_NE(TarError(tar.Add(name, "x").Whole()).find("outside the backup"), std::string::npos);
  }
  Tar twice = whole;
  EXPECT_NE(TarError(twice.Add("base/5/1259", "x").Whole()).find("is there twice"),
            std::string::npos);
  // Of these sizes nothing is there.
  for (const uint64_t size : {uint64_t{1} << 32, uint64_t{077777777777}}) {
    for (const Packing packing : {Packing::kNone, Packing::kGzip}) {
      Tar tar = whole;
      const std::string bytes = tar.AddHeader("base/5/9", size).Whole();
      EXPECT_NE(TarError(Packed(bytes, packing), PackingSuffix(packing)), "") << size;
    }
  }
  EXPECT_NE(TarError("").find("corrupt"), std::string::npos);
  EXPECT_NE(TarError(std::string(10'000, '\0')), "");
  EXPECT_NE(TarError(Noise(10'000)).find("corrupt"), std::string::npos);
  EXPECT_NE(TarError(Noise(10'000), ".gz").find("corrupt"), std::string::npos);
  EXPECT_NE(TarError(whole.Whole() + "x").find("behind the end"), std::string::npos);
  EXPECT_NE(TarError(whole.Whole() + whole.Whole()).find("behind the end"), std::string::npos);
}

TEST_F(BackupTest, ATarIsNeverCutUnseen) {
  Tar tar;
  tar.Add("PG_VERSION", "15\n").Add("base/5/1", Noise(3000)).Add("base/5/2", Noise(40'000));
  const std::string whole = tar.Whole();
  for (size_t size = 0; size < whole.size(); size += size < 6000 ? 100 : 512) {
    for (const Packing packing : {Packing::kNone, Packing::kZstd}) {
      const std::string error =
          TarError(Packed(whole.substr(0, size), packing), PackingSuffix(packing));
      EXPECT_NE(error.find("corrupt"), std::string::npos) << size << " " << error;
    }
  }
  // A header that became zeroes ends the archive too early.
  for (const size_t at : {size_t{1024}, whole.size() - 1024 - 40'448 - 512}) {
    std::string zeroed = whole;
    zeroed.replace(at, 512, std::string(512, '\0'));
    EXPECT_NE(TarError(zeroed).find("corrupt"), std::string::npos) << at;
  }
  // The header is the end of a piece of 16 kB, behind which libarchive reads on.
  Tar piece;
  std::string zeroed =
      piece.Add("PG_VERSION", std::string(15'360, 'x')).Add("base/5/1", Noise(3000)).Whole();
  EXPECT_EQ(TarError(zeroed).find("corrupt"), std::string::npos);
  zeroed.replace(15'872, 512, std::string(512, '\0'));
  EXPECT_NE(TarError(zeroed).find("behind the end"), std::string::npos);
}

}  // namespace
}  // namespace neon_redo

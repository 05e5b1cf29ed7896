// Files that others may have prepared: links, FIFOs, other owners.
#include "cpp_core/base/directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/wal_client/segment_writer.h"
#include "tests/unit/failing_calls.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Bytes AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

mode_t ModeOf(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

class DirectoryTest : public testing::Test {
 protected:
  DirectoryTest() { std::ofstream(precious_) << "precious"; }

  TempDirectory root_;
  const std::string precious_ = root_.path() + "/precious";
  const std::string path_ = root_.path() + "/directory";
};

TEST_F(DirectoryTest, LinksAreNotFollowed) {
  std::filesystem::create_directory(path_);
  const auto directory = Directory::Open(path_);
  ASSERT_TRUE(directory);
  for (const char* name : {"file", "file.tmp"}) {
    std::filesystem::create_symlink(precious_, path_ + "/" + name);
    ASSERT_TRUE(directory->WriteFile("file", AsBytes("new")));
    EXPECT_EQ(Content(precious_), "precious");
    EXPECT_EQ(Content(path_ + "/file"), "new");
    EXPECT_EQ(ModeOf(path_ + "/file"), 0600u);
    std::filesystem::remove(path_ + "/file");
  }
  std::filesystem::create_symlink(precious_, path_ + "/link");
  std::filesystem::create_hard_link(precious_, path_ + "/hard");
  ASSERT_EQ(mkfifo((path_ + "/fifo").c_str(), 0600), 0);
  for (const char* name : {"link", "hard", "fifo"}) {
    const auto file = directory->OpenFile(name, O_RDWR);
    ASSERT_FALSE(file) << name;
    EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument) << name;
    EXPECT_TRUE(directory->Has(name));
    const auto made = directory->CreateFile(name);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE(directory->OpenFile(name, O_RDWR));
  }
  EXPECT_EQ(Content(precious_), "precious");
  std::filesystem::create_hard_link(precious_, path_ + "/snapshot");
  EXPECT_TRUE(directory->OpenFile("snapshot", O_RDONLY));
  EXPECT_NE(directory->OpenFile("snapshot", O_RDWR).error().message.find("put a copy in its place"),
            std::string::npos);
  EXPECT_EQ(directory->OpenFile("none", O_RDONLY).error().code, ErrorCode::kNotFound);
}

TEST_F(DirectoryTest, NamesAreAllThatAreThere) {
  std::filesystem::create_directory(path_);
  const auto directory = Directory::Open(path_);
  ASSERT_TRUE(directory);
  EXPECT_TRUE(directory->Names()->empty());
  for (const char* name : {"a", ".b", "...", "c"}) std::ofstream(path_ + "/" + name) << name;
  for (int i = 0; i < 2; i++) {
    auto names = *directory->Names();
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"...", ".b", "a", "c"}));
  }
}

// A directory that could be read in part must not be taken for one of fewer files.
TEST_F(DirectoryTest, NamesThatCannotBeReadAreAnError) {
  std::filesystem::create_directories(path_ + "/pg_xact");
  WalWriter wal;
  wal.Append(10, 0, 10000);
  wal.Save(path_);
  const auto directory = Directory::Open(path_);
  ASSERT_TRUE(directory);
  const auto expect_error = [&](const auto& list) {
    readdir_plan = {2, EIO};
    const auto listed = list();
    EXPECT_EQ(readdir_plan.error, 0) << "the directory was not read";
    readdir_plan = {};
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, ErrorCode::kIo);
    EXPECT_NE(listed.error().message.find("could not read directory"), std::string::npos);
  };
  expect_error([&] { return directory->Names(); });
  expect_error([&] { return WalSet::Open(path_); });
  const auto writer = SegmentWriter::Open(path_, 1 << 20, Compression::kNone);
  expect_error([&] { return (*writer)->FindResumePoint(); });
  expect_error([&] { return ListPlainFiles({path_, "", {}, ""}, kPg15, true); });
}

TEST_F(DirectoryTest, ItStaysTheOneThatWasOpened) {
  std::filesystem::create_directory(path_);
  const auto directory = Directory::Open(path_);
  ASSERT_TRUE(directory);
  std::filesystem::rename(path_, path_ + ".away");
  std::filesystem::create_directory(path_);
  ASSERT_TRUE(directory->WriteFile("file", AsBytes("x")));
  EXPECT_TRUE(std::filesystem::exists(path_ + ".away/file"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/file"));
}

TEST_F(DirectoryTest, RootIsWarnedOfOtherOwners) {
  if (geteuid() != 0) return;
  std::filesystem::create_directory(path_);
  EXPECT_EQ(Directory::Open(path_)->OwnerWarning(), "");
  ASSERT_EQ(chown(path_.c_str(), 12345, 12345), 0);
  EXPECT_NE(Directory::Open(path_)->OwnerWarning().find("belongs to user 12345"),
            std::string::npos);
}

TEST_F(DirectoryTest, PrivateFiles) {
  const std::string path = root_.path() + "/page";
  std::ofstream(path) << "an older and longer one";
  chmod(path.c_str(), 0644);
  ASSERT_TRUE(WritePrivateFile(path, AsBytes("page")));
  EXPECT_EQ(Content(path), "page");
  EXPECT_EQ(ModeOf(path), 0600u);
  std::filesystem::remove(path);
  ASSERT_TRUE(WritePrivateFile(path, AsBytes("page")));
  EXPECT_EQ(ModeOf(path), 0600u);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(precious_, path);
  EXPECT_FALSE(WritePrivateFile(path, AsBytes("page")));
  std::filesystem::remove(path);
  std::filesystem::create_hard_link(precious_, path);
  EXPECT_FALSE(WritePrivateFile(path, AsBytes("page")));
  EXPECT_EQ(Content(precious_), "precious");
  EXPECT_TRUE(WritePrivateFile("/dev/null", AsBytes("page")));
}

TEST_F(DirectoryTest, WhatIsADirectory) {
  const std::string link = root_.path() + "/link_to_it", nowhere = root_.path() + "/nowhere";
  std::filesystem::create_directory_symlink(root_.path(), link);
  std::filesystem::create_symlink("none", nowhere);
  for (const Links links : {Links::kFollow, Links::kRefuse}) {
    const bool follows = links == Links::kFollow;
    EXPECT_EQ(IsDirectory(root_.path(), links), true);
    EXPECT_EQ(IsDirectory(link, links), follows);
    EXPECT_EQ(IsDirectory(precious_, links), false);
    EXPECT_EQ(IsDirectory(root_.path() + "/none", links), false);
    EXPECT_EQ(IsDirectory(nowhere, links).has_value(), !follows);
    EXPECT_FALSE(IsDirectory(root_.path() + "/" + std::string(300, 'x'), links));
  }
}

TEST_F(DirectoryTest, FilesAreBounded) {
  EXPECT_EQ(*ReadRegularFile(precious_, 8), "precious");
  EXPECT_FALSE(ReadRegularFile(precious_, 7));
  EXPECT_FALSE(ReadRegularFile("/dev/zero", 1 << 20));
  EXPECT_EQ(ReadRegularFile(root_.path() + "/none", 1).error().code, ErrorCode::kNotFound);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{0, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto refused = ReadRegularFile(precious_, 8);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooManyOpenFiles);
}

}  // namespace
}  // namespace neon_redo

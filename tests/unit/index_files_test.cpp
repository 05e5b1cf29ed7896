// The files in the directory of an index: groups, merging, several users at once, leftovers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/unit/index_fixture.h"

namespace neon_redo {
namespace {

class IndexFilesTest : public IndexTest {};

// The first segment is 3; groups of two begin at even numbers.
TEST_F(IndexFilesTest, WholeGroupsHaveOneFile) {
  Write(2, 3);
  ASSERT_TRUE(Open(1, 2 * kSize));
  EXPECT_EQ(Files().size(), 3u);  // 3, 4, 5
  Write(2, 6);
  const auto index = Open(2, 2 * kSize);
  ASSERT_TRUE(index) << index.error().message;
  Compare(index->get(), Expected(), 3);
  EXPECT_EQ(Names(), (std::vector<std::string>{"3", "4-5", "6-7", "8"}));
  EXPECT_EQ((*Open(1, 2 * kSize))->counts().built, 0u);
}

TEST_F(IndexFilesTest, FilesAreMergedUpward) {
  Write(20, 13);
  for (int round = 0; round < 2; round++) {
    const auto index = OpenMerged(2);
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().built, round == 0 ? 13u : 0u);
    EXPECT_EQ((*index)->counts().merged != 0, round == 0);
    EXPECT_EQ((*index)->counts().files, 5u);
    EXPECT_EQ(Names(), (std::vector<std::string>{"3-7", "8-11", "12-13", "14", "15"}));
    Compare(index->get(), Expected(), 1);
  }
  Write(20, 14);
  const auto index = OpenMerged();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
  Compare(index->get(), Expected(), 2);
}

// Those of a process that was killed after it had merged them.
TEST_F(IndexFilesTest, FilesThatWereReplacedAreRemoved) {
  Write(24, 13);
  TempDirectory aside;
  ASSERT_TRUE(Open(1, kSize));
  ASSERT_EQ(Files().size(), 13u);
  const std::string directory = std::filesystem::path(Files()[0]).parent_path();
  for (const std::string& path : Files())
    std::filesystem::copy(path,
                          aside.path() + "/" + std::string(std::filesystem::path(path).filename()));
  ASSERT_TRUE(OpenMerged());
  ASSERT_EQ(Files().size(), 5u);
  std::filesystem::copy(
      aside.path(), directory,
      std::filesystem::copy_options::skip_existing | std::filesystem::copy_options::recursive);
  ASSERT_GT(Files().size(), 13u);
  const auto index = OpenMerged();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ((*index)->counts().built, 0u);
  EXPECT_EQ(Files().size(), 5u);
  Compare(index->get(), Expected(), 1);
}

// Who has a file open goes on when another merges it.
TEST_F(IndexFilesTest, MergingIsNoConcernOfOthers) {
  Write(25, 13);
  const auto before = Open(1, kSize);
  ASSERT_TRUE(before);
  const Entries expected = Expected();
  ASSERT_TRUE(OpenMerged());
  Compare(before->get(), expected, 1);
  EXPECT_TRUE((*before)->TakeNotes().empty());
}

// Threads of one command share the files, and do not look for them again.
TEST_F(IndexFilesTest, ThreadsShareTheFiles) {
  Write(7, 6);
  const Entries expected = Expected();
  ASSERT_TRUE(OpenMerged());
  const auto index = OpenMerged();
  ASSERT_TRUE(index);
  const size_t descriptors = CountEntries("/proc/self/fd");
  std::vector<std::unique_ptr<WalIndex>> shared;
  for (int i = 0; i < 6; i++) shared.push_back((*index)->Share());
  EXPECT_EQ(CountEntries("/proc/self/fd"), descriptors);
  EXPECT_EQ(shared[0]->end(), (*index)->end());
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 6; i++)
    threads.emplace_back([&, i] { CompareAll(shared[i].get(), expected, i); });
  for (std::thread& thread : threads) thread.join();
  // Each mends what it finds damaged.
  for (const std::string& path : Files()) Overwrite(path, 200);
  for (uint32_t i = 0; i < 6; i++) CompareAll(shared[i].get(), expected, i);
}

TEST_F(IndexFilesTest, ThreadsMayUseOneDirectory) {
  Write(26, 14);
  const Entries expected = Expected();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&] {
      for (int round = 0; round < 5; round++) {
        const auto index = OpenMerged();
        ASSERT_TRUE(index) << index.error().message;
        Compare(index->get(), expected, 1);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
}

// Another process may put a file of other WAL into the place of one that was just made.
TEST_F(IndexFilesTest, WhatWasMadeIsUsedWhateverHasItsName) {
  TempDirectory aside;
  Write(11, 3);
  ASSERT_TRUE(Open());
  for (const std::string& path : Files())
    std::filesystem::rename(
        path, aside.path() + "/" + std::string(std::filesystem::path(path).filename()));
  Write(12, 3);
  const Entries expected = Expected();
  const auto replace = [&](uint64_t, uint64_t) {
    for (const std::string& path : Files()) {
      const std::string other =
          aside.path() + "/" + std::string(std::filesystem::path(path).filename());
      if (!std::filesystem::exists(other)) continue;
      std::filesystem::remove(path);
      std::filesystem::copy(other, path);
    }
  };
  const auto index = OpenRange({}, replace);
  ASSERT_TRUE(index) << index.error().message;
  Compare(index->get(), expected, 1);
  Compare(Open()->get(), expected, 1);
}

TEST_F(IndexFilesTest, LeftoversAreRemovedUnlessSomebodyWritesThem) {
  Write(1, 1);
  ASSERT_TRUE(Open());
  const std::string directory = std::filesystem::path(Files()[0]).parent_path();
  std::ofstream(directory + "/old.tmp").put('x');
  std::ofstream(directory + "/new.tmp").put('x');
  const FileDescriptor writer(open((directory + "/new.tmp").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(writer.get(), LOCK_EX), 0);
  ASSERT_TRUE(Open());
  EXPECT_FALSE(std::filesystem::exists(directory + "/old.tmp"));
  EXPECT_TRUE(std::filesystem::exists(directory + "/new.tmp"));
}

// Who may write into the directory must not lead another user's program to files of that user, or keep it waiting.
TEST_F(IndexFilesTest, LinksAndFifosAreNotFollowed) {
  Write(1, 1);
  ASSERT_TRUE(Open());
  const std::string path = Files()[0];
  TempDirectory outside;
  const std::string victim = outside.path() + "/victim", content(5000, 'v');
  std::ofstream(victim) << content;
  for (const bool is_link : {true, false}) {
    std::filesystem::remove(path);
    if (is_link)
      std::filesystem::create_symlink(victim, path);
    else
      ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    std::filesystem::remove(path + ".tmp");
    std::filesystem::create_symlink(victim, path + ".tmp");
    const auto index = Open();
    EXPECT_FALSE(index && (*index)->counts().built == 0) << is_link;
    std::ifstream in(victim, std::ios::binary);
    EXPECT_EQ(std::string((std::istreambuf_iterator<char>(in)), {}), content) << is_link;
  }
}

TEST_F(IndexFilesTest, OthersCannotReadIt) {
  const mode_t mask = umask(0);
  Write(1, 1);
  ASSERT_TRUE(Open());
  umask(mask);
  struct stat st;
  for (const std::string& path : Files()) {
    ASSERT_EQ(stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    ASSERT_EQ(stat(std::filesystem::path(path).parent_path().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0700u);
  }
}

}  // namespace
}  // namespace neon_redo

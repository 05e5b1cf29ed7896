// Pages that WAL does not change, of a base backup and a data directory that the test makes. What cannot
// be read is never equal.
#include "cpp_core/verify/unchanged_check.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/verify/slru_check.h"
#include "tests/unit/failing_calls.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

class UnchangedTest : public ::testing::Test {
 protected:
  UnchangedTest() {
    for (const std::string& directory : {base_, data_}) {
      fs::remove_all(directory);
      for (const char* below : {"global", "base/5", "pg_tblspc", "pg_xact"})
        fs::create_directories(directory + "/" + below);
    }
  }
  ~UnchangedTest() override {
    pread_plan = {};
    fs::remove_all(base_);
    fs::remove_all(data_);
  }

  static constexpr uint64_t kBackupStart = 1000;

  // A page with this LSN; 0: a header alone. filled: it has one tuple.
  static std::string Page(uint64_t lsn, bool filled = true) {
    alignas(8) uint8_t page[kBlockSize] = {};
    pg::SetLower(page, filled ? kPageHeaderSize + kLinePointerSize : kPageHeaderSize);
    pg::SetUpper(page, filled ? 8000 : kBlockSize);
    pg::SetSpecial(page, kBlockSize);
    pg::SetSizeAndVersion(page, kPageSizeAndVersion);
    SetPageLsn(page, Lsn(lsn));
    if (filled) {
      pg::Put32(page + kPageHeaderSize, LinePointer::Of(8000, kLpNormal, 150).bits);
      std::memset(page + 8000, 7, 150);
    }
    return {reinterpret_cast<const char*>(page), kBlockSize};
  }
  static void Write(const std::string& directory, const std::string& name,
                    const std::string& content) {
    std::ofstream(directory + "/" + name, std::ios::binary) << content;
  }

  void List() {
    VerifyResult ignored;
    ASSERT_TRUE(files_.TakeBase(FilesIn(base_), kPg15));
    ASSERT_TRUE(files_.Compare(
        {.on_disk = FilesIn(data_), .touched = {}, .sought = {}, .settled = Lsn(), .log = nullptr},
        &ignored));
  }
  static BaseFiles FilesIn(const std::string& directory) {
    return ListPlainFiles({directory, "", {}, ""}, kPg15, true).value();
  }
  // "side file/block: damage" for each difference. good: reads that do not fail; the next one does. Below
  // 0: none fails.
  std::vector<std::string> Compare(int good = -1, ChangedBlocks changed = {}) {
    UnchangedOptions options{{data_files_.get(), base_files_.get(), &kPg15, false, 3, 1000},
                             {HintLogging::kNever, false, is_another_, Lsn(kBackupStart)},
                             1,
                             {}};
    result_ = {};
    // A piece cannot be read, and of its pages the first.
    if (good >= 0) pread_plan = {good, EIO, 2};
    const BackupDamage damage{[](const BlockTag&) { return false; },
                              [](const std::string&) { return false; }};
    const Status status = CompareUnchangedPages(options, files_, &changed, damage, &result_);
    pread_plan = {};
    EXPECT_TRUE(status) << status.error().message;
    return Names();
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> out;
    for (const Mismatch& m : result_.mismatches)
      out.push_back((m.in_backup ? "backup " : "data ") + m.file + "/" +
                    (m.tag.block == kNoBlockNumber ? "all" : std::to_string(m.tag.block)) + ": " +
                    DamageName(m.damage));
    return out;
  }

  const std::string base_ = ::testing::TempDir() + "unchanged_base";
  const std::string data_ = ::testing::TempDir() + "unchanged_data";
  const std::unique_ptr<BaseBackup> base_files_ = DataDirectory(base_);
  const std::unique_ptr<BaseBackup> data_files_ = DataDirectory(data_);
  FileCheck files_{*base_files_, data_files_.get()};
  bool is_another_ = false;  // PageCheck::Server
  VerifyResult result_;
};

using Strings = std::vector<std::string>;

TEST_F(UnchangedTest, APageThatCannotBeReadIsNotEqual) {
  const std::string pages = Page(100) + Page(200) + Page(300);
  for (const std::string& directory : {base_, data_}) Write(directory, "base/5/16384", pages);
  List();
  EXPECT_EQ(Compare(), Strings());
  EXPECT_EQ(result_.backup.unchanged_compared, 3u);
  EXPECT_EQ(Compare(0), Strings{"backup base/5/16384/0: unreadable"});
  EXPECT_EQ(result_.backup.unchanged_compared, 2u);
  EXPECT_EQ(result_.backup.losses, 1u);
  EXPECT_EQ(Compare(1), Strings{"data base/5/16384/0: unreadable"});
  EXPECT_EQ(result_.backup.unchanged_compared, 2u);
  EXPECT_EQ(result_.different, 1u);
  // WAL has the page, which is rebuilt and looked at elsewhere.
  EXPECT_EQ(Compare(1, {{{{1663, 5, 16384}, 0, 0}, {0}}}), Strings());
}

TEST_F(UnchangedTest, AFileThatBecomesShorterMeanwhile) {
  const std::string pages = Page(100) + Page(200) + Page(300);
  for (const std::string& directory : {base_, data_}) Write(directory, "base/5/16384", pages);
  List();
  fs::resize_file(data_ + "/base/5/16384", 2 * kBlockSize + 100);
  EXPECT_EQ(Compare(), Strings{"data base/5/16384/2: unreadable"});
  fs::remove(data_ + "/base/5/16384");
  EXPECT_EQ(Compare(), Strings{"data base/5/16384/all: unreadable"});
  // Also if WAL changes its first block, which is looked at elsewhere only if it may be newer.
  EXPECT_EQ(Compare(-1, {{{{1663, 5, 16384}, 0, 0}, {0}}}),
            Strings{"data base/5/16384/all: unreadable"});
  fs::resize_file(base_ + "/base/5/16384", kBlockSize);
  Write(data_, "base/5/16384", pages);
  EXPECT_EQ(Compare(), Strings{"backup base/5/16384/1: unreadable"});
  fs::remove(base_ + "/base/5/16384");
  EXPECT_EQ(Compare(), Strings{"backup base/5/16384/0: unreadable"});
}

TEST_F(UnchangedTest, PagesWithoutContentAreAlike) {
  const std::string zeroes(kBlockSize, '\0');
  const std::string pages[] = {zeroes, Page(0, false), Page(0), Page(100)};
  for (size_t i = 0; i < 4; i++) {
    for (size_t k = 0; k < 4; k++) {
      Write(base_, "base/5/16384", pages[i]);
      Write(data_, "base/5/16384", pages[k]);
      List();
      EXPECT_EQ(Compare().empty(), i == k || (i < 2 && k < 2)) << i << " " << k;
    }
  }
}

TEST_F(UnchangedTest, PagesOfAServerAndOfOneThatReplaysItsWal) {
  // The server writes pages of an init fork before it logs them.
  const std::string init[] = {Page(0), Page(100)};
  for (const auto& [from, to] : {std::pair(0, 1), {1, 0}}) {
    Write(base_, "base/5/16384_init", init[from]);
    Write(data_, "base/5/16384_init", init[to]);
    List();
    EXPECT_EQ(Compare(), Strings());
  }
  // CREATE DATABASE logs no bits of visibility maps.
  std::string map = Page(100, false);
  Write(base_, "base/5/16385_vm", map);
  map[kPageHeaderSize] = 1;
  Write(data_, "base/5/16385_vm", map);
  List();
  EXPECT_EQ(Compare(), Strings{"data base/5/16385_vm/0: stale"});
  // A bit that the heap page does not bear out is an old one.
  is_another_ = true;
  EXPECT_EQ(Compare(), Strings{"data base/5/16385_vm/0: stale"});
  std::string heap = Page(100);
  Write(data_, "base/5/16385", heap);
  EXPECT_EQ(Compare(), Strings{"data base/5/16385_vm/0: stale"});
  heap[kPageFlagsAt] = static_cast<char>(kPdAllVisible);
  Write(data_, "base/5/16385", heap);
  EXPECT_EQ(Compare(), Strings());
  EXPECT_EQ(result_.skipped["visibility map of another server"], 1u);
  // Bits that are missing do no harm, and more than the base has of a block that has some are old.
  Write(base_, "base/5/16385_vm", map);
  Write(data_, "base/5/16385_vm", Page(100, false));
  EXPECT_EQ(Compare(), Strings());
  map[kPageHeaderSize] = 3;
  Write(data_, "base/5/16385_vm", map);
  EXPECT_EQ(Compare(), Strings{"data base/5/16385_vm/0: stale"});
  Write(base_, "base/5/16385_vm", Page(100, false));
  map[kPageHeaderSize] = 1;
  map[kPageLowerAt] = 1;
  Write(data_, "base/5/16385_vm", map);
  EXPECT_EQ(Compare(), Strings{"data base/5/16385_vm/0: stale"});
}

// Redo stamps pages that the server leaves as they are.
TEST_F(UnchangedTest, LsnsOfAServerAndOfOneThatReplaysItsWal) {
  for (const auto& [base, data] : {std::pair(100, 90), {90, 100}}) {
    Write(base_, "base/5/16386", Page(static_cast<uint64_t>(base)));
    Write(data_, "base/5/16386", Page(static_cast<uint64_t>(data)));
    List();
    is_another_ = false;
    EXPECT_EQ(Compare().size(), 1u);
    is_another_ = true;
    EXPECT_EQ(Compare(), Strings());
  }
  // No WAL since the backup's start changes the page.
  Write(data_, "base/5/16386", Page(kBackupStart + 8));
  EXPECT_EQ(Compare(), Strings{"data base/5/16386/0: future"});
  std::string other = Page(90);
  other[8100] = 1;
  Write(data_, "base/5/16386", other);
  EXPECT_EQ(Compare().size(), 1u);
}

// A page that changes while a later backup is taken may be of any time there, but it is there.
TEST_F(UnchangedTest, AnSlruPageThatChangesLateIsThere) {
  Write(base_, "pg_xact/0000", std::string(kBlockSize, '\0'));
  const auto compare = [&] {
    MemoryBudget memory(1 << 20);
    SlruCheck check(*base_files_, &memory, "/tmp");
    Change change{};
    change.kind = ChangeKind::kClogCommitted;
    change.number = 700;
    change.key = PageKey::OfSlruBlock({SlruKind::kClog, 0, 0});
    EXPECT_TRUE(check.Take(change, {Lsn(500), Lsn(600), {}}, kRmXact));
    result_ = {};
    const BaseFiles on_disk = FilesIn(data_);
    const SlruCheck::Disk disk{*data_files_, on_disk};
    EXPECT_TRUE(check.Compare(&disk, Lsn(400), {}, &result_));
    return Names();
  };
  EXPECT_EQ(compare(), Strings{"data pg_xact/0000/0: short file"});
  std::filesystem::create_directory(data_ + "/pg_xact/0000");
  EXPECT_EQ(compare(), Strings{"data pg_xact/0000/0: unreadable"});
  std::filesystem::remove(data_ + "/pg_xact/0000");
  Write(data_, "pg_xact/0000", std::string(kBlockSize, '\x55'));
  EXPECT_EQ(compare(), Strings());
}

TEST_F(UnchangedTest, AnSlruPageThatCannotBeReadIsNotEqual) {
  for (const std::string& directory : {base_, data_})
    Write(directory, "pg_xact/0000", std::string(2 * kBlockSize, '\0'));
  const auto compare = [&](int good, bool is_reported = false) {
    MemoryBudget memory(1 << 20);
    SlruCheck check(*base_files_, &memory, "/tmp");
    result_ = {};
    if (good >= 0) pread_plan = {good, EIO};
    const Status status = check.CompareUnchanged(
        FilesIn(base_), {*data_files_, FilesIn(data_)}, {},
        [&](const std::string&) { return is_reported; }, &result_);
    pread_plan = {};
    EXPECT_TRUE(status);
    return Names();
  };
  EXPECT_EQ(compare(-1), Strings());
  EXPECT_EQ(result_.backup.unchanged_compared, 2u);
  EXPECT_EQ(compare(0), Strings{"backup pg_xact/0000/0: unreadable"});
  EXPECT_EQ(result_.backup.losses, 1u);
  EXPECT_EQ(compare(0, true), Strings());
  EXPECT_EQ(compare(1), Strings{"data pg_xact/0000/0: unreadable"});
  EXPECT_EQ(compare(3), Strings{"data pg_xact/0000/1: unreadable"});
}

}  // namespace
}  // namespace neon_redo

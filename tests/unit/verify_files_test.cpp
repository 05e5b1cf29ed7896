// What verification makes of the files of a data directory, without WAL: names, sizes, databases.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/relation_files.h"
#include "cpp_core/verify/two_phase_check.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

// A base backup and a data directory with nothing but what the test puts there.
class FileCheckTest : public ::testing::Test {
 protected:
  FileCheckTest() {
    for (const std::string& directory : {base_, data_}) {
      fs::remove_all(directory);
      for (const char* below : {"global", "base/5", "pg_tblspc"})
        fs::create_directories(directory + "/" + below);
    }
  }
  ~FileCheckTest() override {
    fs::remove_all(base_);
    fs::remove_all(data_);
  }

  // A file of pages that have an LSN.
  static void Write(const std::string& directory, const std::string& name, uint32_t blocks) {
    std::string page(kBlockSize, '\x01');
    std::ofstream out(directory + "/base/5/" + name, std::ios::binary);
    for (uint32_t block = 0; block < blocks; block++) out << page;
  }
  static void WriteZeroes(const std::string& directory, const std::string& name, uint64_t bytes) {
    std::ofstream(directory + "/base/5/" + name, std::ios::app).flush();
    fs::resize_file(directory + "/base/5/" + name, bytes);
  }

  void Take(ChangeKind kind, const PageKey& key, uint32_t number = 0) {
    Change change;
    change.kind = kind;
    change.key = key;
    change.number = number;
    change.flags = kNewRelationFile;
    check_.Take(change, {Lsn(100), Lsn(200), {}});
  }
  // pg_class with one row, of this file node, that transaction 700 has inserted. fate: of 700, as
  // two bits of pg_xact.
  void WriteCatalog(uint32_t file_node, uint8_t fate) {
    fs::create_directories(data_ + "/pg_xact");
    std::string log(kBlockSize, '\0');
    log[700 / 4] = static_cast<char>(fate);
    std::ofstream(data_ + "/pg_xact/0000", std::ios::binary) << log;
    for (const std::string& directory : {base_, data_}) {
      std::string map(kPg15.relation_map_size, '\0');
      for (const auto& [at, value] :
           {std::pair<size_t, uint32_t>{0, 0x592717}, {4, 1}, {8, 1259}, {12, 1259}})
        std::memcpy(map.data() + at, &value, 4);
      const size_t crc_at = pg::RelationMapCrcAt(kPg15);
      const uint32_t crc = Crc32c({reinterpret_cast<const uint8_t*>(map.data()), crc_at});
      std::memcpy(map.data() + crc_at, &crc, sizeof(crc));
      std::ofstream(directory + "/base/5/pg_filenode.map", std::ios::binary) << map;
      alignas(8) uint8_t page[kBlockSize] = {};
      pg::SetLower(page, kPageHeaderSize + kLinePointerSize);
      pg::SetUpper(page, 8000);
      pg::SetSpecial(page, kBlockSize);
      pg::SetSizeAndVersion(page, kPageSizeAndVersion);
      pg::Put32(page + kPageHeaderSize, LinePointer::Of(8000, kLpNormal, 150).bits);
      pg::Put32(page + 8000, 700);
      page[8000 + pg::tuple::kHoff] = 32;
      pg::Put32(page + 8000 + 32 + 88, file_node);
      std::ofstream(directory + "/base/5/1259", std::ios::binary)
          .write(reinterpret_cast<const char*>(page), kBlockSize);
    }
  }
  static std::vector<std::string> Names(const std::vector<Mismatch>& mismatches) {
    std::vector<std::string> out;
    for (const Mismatch& m : mismatches) out.push_back(m.file + ": " + DamageName(m.damage));
    return out;
  }
  static BaseFiles FilesIn(const std::string& directory, const pg::Version& version = kPg15) {
    return ListPlainFiles({directory, "", {}, ""}, version, true).value();
  }
  // "file: damage" for each difference.
  std::vector<std::string> Compare(const ForkSizes& touched = {}, bool may_have_crashed = false) {
    return Compare(touched, touched, may_have_crashed);
  }
  std::vector<std::string> Compare(const ForkSizes& touched, const ForkSizes& sought,
                                   bool may_have_crashed = false) {
    VerifyResult result;
    CommitLog log(*data_files_, 3, 1000);
    Status status = check_.TakeBase(FilesIn(base_), kPg15);
    if (status)
      status = check_.Compare({.on_disk = FilesIn(data_),
                               .touched = touched,
                               .sought = sought,
                               .settled = Lsn(),
                               .log = &log,
                               .may_have_crashed = may_have_crashed},
                              &result);
    EXPECT_TRUE(status) << status.error().message;
    ListInOrder(&result);
    notes_ = Names(result.notes);
    return Names(result.mismatches);
  }

  const std::string base_ = ::testing::TempDir() + "file_check_base";
  const std::string data_ = ::testing::TempDir() + "file_check_data";
  const RelFileNode rel_{1663, 5, 16384};
  const std::unique_ptr<BaseBackup> base_files_ = DataDirectory(base_);
  const std::unique_ptr<BaseBackup> data_files_ = DataDirectory(data_);
  FileCheck check_{*base_files_, data_files_.get()};
  std::vector<std::string> notes_;  // of the last comparison
};

using Strings = std::vector<std::string>;

TEST_F(FileCheckTest, MissingVisibilityMaps) {
  Write(base_, "16384", 1);
  Write(data_, "16384", 1);
  WriteZeroes(base_, "16384_vm", kBlockSize);  // which is not logged
  EXPECT_EQ(Compare(), Strings());
  Write(base_, "16384_vm", 1);
  EXPECT_EQ(Compare(), Strings{"base/5/16384_vm: missing file"});
}

TEST_F(FileCheckTest, AMissingFileThatPgClassDoesNotHave) {
  WriteCatalog(16384, 1);
  Write(base_, "16390", 1);
  EXPECT_EQ(Compare(), Strings{"base/5/16390: missing file"});
  EXPECT_EQ(Compare({}, true), Strings());
  EXPECT_EQ(notes_, Strings{"base/5/16390: missing file"});
  Write(base_, "16384", 1);
  EXPECT_EQ(Compare({}, true), Strings{"base/5/16384: missing file"});
}

TEST_F(FileCheckTest, ListsRelationFilesAndNothingElse) {
  WriteZeroes(data_, "16384", uint64_t{1} << 30);
  WriteZeroes(data_, "16384.1", 2 * kBlockSize + 7);
  WriteZeroes(data_, "16384_vm", kBlockSize);
  WriteZeroes(data_, "16385_init", 0);
  for (const char* other :
       {"t3_16386", "016387", "16388_x", "16389.", "PG_VERSION", "_vm", "16390x"})
    WriteZeroes(data_, other, kBlockSize);
  const auto list = FindRelationFiles(FilesIn(data_), kPg15);
  const std::map<BlockTag, ForkFiles> expected{{{rel_}, {(1 << 17) + 2}},
                                               {{rel_, kVisibilityMapFork, 0}, {1}},
                                               {{{1663, 5, 16385}, kInitFork, 0}, {0}}};
  EXPECT_EQ(list.forks, expected);
  EXPECT_EQ(list.databases, (std::set<std::pair<uint32_t, uint32_t>>{{1663, 5}, {1664, 0}}));
  EXPECT_EQ(pg::BlockFilePath(kPg15, {rel_, kVisibilityMapFork, 1 << 17}), "base/5/16384_vm.1");
}

// What a stranger's base backup may hold in place of files.
TEST_F(FileCheckTest, RegularFilesOnly) {
  const std::string precious = ::testing::TempDir() + "file_check_precious";
  std::ofstream(precious) << std::string(2 * kBlockSize, 'x');
  const auto make_fifo = [](const std::string& path) { ASSERT_EQ(mkfifo(path.c_str(), 0600), 0); };
  make_fifo(base_ + "/backup_label");
  make_fifo(base_ + "/global/pg_control");
  make_fifo(base_ + "/base/5/1");
  fs::create_symlink(precious, base_ + "/base/5/2");
  EXPECT_EQ(base_files_->Label().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadControlData(*base_files_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(check_.TakeBase(FilesIn(base_), kPg15).error().code, ErrorCode::kInvalidArgument);
  RelationFiles files(base_files_.get(), &kPg15);
  alignas(8) uint8_t page[kBlockSize];
  for (const uint32_t rel : {1u, 2u})
    EXPECT_EQ(files.Read({{1663, 5, rel}}, page).value(), RelationFiles::Found::kUnreadable) << rel;
  EXPECT_EQ(files.Read({{1663, 5, 3}}, page).value(), RelationFiles::Found::kNoFile);
  for (const char* name : {"/backup_label", "/global/pg_control"}) {
    fs::remove(base_ + name);
    fs::create_symlink("/dev/zero", base_ + name);
  }
  EXPECT_EQ(base_files_->Label().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadControlData(*base_files_).error().code, ErrorCode::kInvalidArgument);
  fs::remove(base_ + "/backup_label");
  std::ofstream(base_ + "/backup_label") << "START";
  fs::resize_file(base_ + "/backup_label", uint64_t{2} << 30);
  EXPECT_EQ(base_files_->Label().error().code, ErrorCode::kCorrupt);
  fs::remove(precious);
}

TEST_F(FileCheckTest, ARelationMapMustBeARegularFile) {
  fs::create_symlink("/dev/zero", data_ + "/base/5/pg_filenode.map");
  Change change;
  change.kind = ChangeKind::kRelationMap;
  change.key.field2 = 1663;
  change.key.field3 = 5;
  const std::string map(512, 'm');
  change.payload = {reinterpret_cast<const uint8_t*>(map.data()), map.size()};
  check_.Take(change, {Lsn(100), Lsn(200), {}});
  EXPECT_EQ(Compare(), std::vector<std::string>{"base/5/pg_filenode.map: unreadable"});
}

TEST_F(FileCheckTest, LengthsWithoutWal) {
  Write(base_, "1", 3);
  Write(data_, "1", 2);  // cut off
  Write(base_, "2", 2);
  Write(data_, "2", 3);  // a page too many
  Write(base_, "3", 2);
  Write(data_, "3", 2);
  WriteZeroes(data_, "3", 5 * kBlockSize);  // extended, not used
  Write(base_, "4", 1);                     // not there any more
  Write(base_, "5_fsm", 2);                 // of no interest
  WriteZeroes(base_, "6_init", 0);          // unlogged
  WriteZeroes(data_, "6_init", 0);
  Write(data_, "6", 2);
  EXPECT_EQ(Compare(),
            (Strings{"base/5/1: short file", "base/5/2: long file", "base/5/4: missing file"}));
}

// A block that WAL changes may be skipped. Then nobody else reports its file.
TEST_F(FileCheckTest, BlocksThatWalChangesButThatWereNotLookedFor) {
  Write(base_, "16384", 3);
  const ForkSizes touched{{{rel_}, 3}};
  EXPECT_EQ(Compare(touched, touched), Strings());
  EXPECT_EQ(Compare(touched, ForkSizes()), Strings{"base/5/16384: missing file"});
  Write(data_, "16384", 1);
  EXPECT_EQ(Compare(touched, touched), Strings());
  EXPECT_EQ(Compare(touched, ForkSizes()), Strings{"base/5/16384: short file"});
  fs::remove(data_ + "/base/5/16384");
  fs::create_directories(data_ + "/base/5/16384");
  EXPECT_EQ(Compare(touched, touched), Strings());
  EXPECT_EQ(Compare(touched, ForkSizes()), Strings{"base/5/16384: unreadable"});
}

TEST_F(FileCheckTest, TruncationAndDrop) {
  Write(base_, "16384", 9);
  Write(data_, "16384", 4);
  Take(ChangeKind::kTruncateFork, PageKey::OfRelationSize(rel_, kMainFork), 3);
  EXPECT_EQ(Compare({{{rel_}, 4}}), Strings());
  EXPECT_EQ(Compare({{{rel_}, 2}}), Strings{"base/5/16384: long file"});
  Take(ChangeKind::kDropRelation, PageKey::OfRelationSize(rel_, kMainFork));
  EXPECT_EQ(Compare(), (Strings{"base/5/16384: extra file"}));
}

TEST_F(FileCheckTest, Databases) {
  fs::create_directories(base_ + "/base/7");
  fs::create_directories(data_ + "/base/8");
  Take(ChangeKind::kDropDatabase, PageKey::OfRelationMap(1663, 8));
  Take(ChangeKind::kCreateDatabase, PageKey::OfRelationMap(1663, 9));
  EXPECT_EQ(Compare(),
            (Strings{"base/7: missing file", "base/8: extra file", "base/9: missing file"}));
}

TEST_F(FileCheckTest, AUsedPageInAFileAfterAShortOne) {
  for (const std::string& directory : {base_, data_}) Write(directory, "16384", 3);
  WriteZeroes(data_, "16384.1", 0);  // as a truncation leaves it
  EXPECT_EQ(Compare(), Strings());
  WriteZeroes(data_, "16384.1", 2 * kBlockSize);
  EXPECT_EQ(Compare(), Strings());
  Write(data_, "16384.2", 1);
  EXPECT_EQ(Compare(), Strings{"base/5/16384.2: long file"});
  Write(data_, "16384.1", 1);
  EXPECT_EQ(Compare(), (Strings{"base/5/16384.1: long file", "base/5/16384.2: long file"}));
  const auto list = FindRelationFiles(FilesIn(data_), kPg15);
  EXPECT_EQ(list.forks.at({rel_}), (ForkFiles{3, {{1, 1}, {2, 1}}}));
}

TEST_F(FileCheckTest, AShortFileBeforeAnotherOne) {
  WriteZeroes(base_, "16384", uint64_t{1} << 30);
  Write(base_, "16384", 1);
  fs::resize_file(base_ + "/base/5/16384", uint64_t{1} << 30);
  WriteZeroes(base_, "16384.1", kBlockSize);
  WriteZeroes(data_, "16384", 0);
  Write(data_, "16384.1", 1);
  EXPECT_EQ(Compare({{{rel_}, (1 << 17) + 1}}), Strings{"base/5/16384: short file"});
}

TEST_F(FileCheckTest, RelationsAndDatabasesThatNobodyKnows) {
  Write(data_, "16999", 1);
  Write(data_, "16999_vm", 1);
  WriteZeroes(data_, "17000", 0);
  Write(data_, "17001", 1);
  Take(ChangeKind::kCreateFork, PageKey::OfRelationSize({1663, 5, 17001}, kInitFork));
  WriteZeroes(data_, "17001_init", 0);
  WriteCatalog(16385, 1);
  fs::create_directories(data_ + "/base/77");
  Write(data_, "../77/1", 1);
  auto found = Compare();
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (Strings{"base/5/16999: extra file", "base/5/17000: extra file",
                            "base/77: extra file"}));
  EXPECT_EQ(notes_, Strings());
  EXPECT_EQ(Compare({}, true), Strings());
  EXPECT_EQ(notes_.size(), 3u);
}

// CREATE INDEX writes pages before their WAL is flushed.
TEST_F(FileCheckTest, WhatACrashLeavesOfANewFile) {
  const Strings damage{"base/5/16384: long file"};
  Take(ChangeKind::kCreateFork, PageKey::OfRelationSize(rel_, kMainFork));
  Write(data_, "16384", 3);
  EXPECT_EQ(Compare({{{rel_}, 2}}), damage);  // nothing is known
  WriteCatalog(16384, 1);
  EXPECT_EQ(Compare({{{rel_}, 2}}), damage);  // a relation like any other
  for (const uint8_t crashed_or_aborted : {0, 2}) {
    WriteCatalog(16384, crashed_or_aborted);
    EXPECT_EQ(Compare({{{rel_}, 2}}), Strings());
    EXPECT_EQ(notes_, damage);
  }
  WriteCatalog(16385, 1);
  EXPECT_EQ(Compare({{{rel_}, 2}}), Strings());
  // Of a file that WAL did not make it is damage, whatever pg_class says.
  for (const std::string& directory : {base_, data_}) Write(directory, "17000", 1);
  Write(data_, "17000", 2);
  EXPECT_EQ(Compare({{{rel_}, 2}}), Strings{"base/5/17000: long file"});
}

TEST_F(FileCheckTest, WhatIsNoFile) {
  const auto place = [this](const std::string& name) { return data_ + "/base/5/" + name; };
  for (const char* name : {"1", "2", "3", "4"}) Write(base_, name, 1);
  fs::create_directories(place("1"));
  ASSERT_EQ(mkfifo(place("2").c_str(), 0600), 0);
  fs::create_symlink("nowhere", place("3"));
  fs::create_symlink("4", place("4"));  // a loop
  fs::create_directories(place("9"));
  fs::create_directories(base_ + "/base/7");
  std::ofstream(data_ + "/base/7") << "a file";
  auto found = Compare();
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found,
            (Strings{"base/5/1: unreadable", "base/5/2: unreadable", "base/5/3: unreadable",
                     "base/5/4: unreadable", "base/5/9: extra file", "base/7: missing file"}));
  RelationFiles files(data_files_.get(), &kPg15);
  alignas(8) uint8_t page[kBlockSize];
  for (const uint32_t rel : {1, 2, 3, 4}) {
    const auto read = files.Read({{1663, 5, rel}, kMainFork, 0}, page);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, RelationFiles::Found::kUnreadable) << rel;
    EXPECT_NE(files.reason().find(fmt::format("base/5/{}", rel)), std::string::npos);
  }
  EXPECT_FALSE(data_files_->ReadIfThere("base/5/1", kMaxSmallFile));
  EXPECT_FALSE(data_files_->ReadIfThere("base/5/2", kMaxSmallFile));
  EXPECT_FALSE(data_files_->ReadIfThere("base/5/4", kMaxSmallFile));
  EXPECT_EQ(*data_files_->ReadIfThere("base/5/none", kMaxSmallFile), std::nullopt);
}

// In the base backup any of it is an error, and so is a directory that cannot be listed.
TEST_F(FileCheckTest, ABaseThatCannotBeRead) {
  EXPECT_TRUE(check_.TakeBase(FilesIn(base_), kPg15));
  fs::create_symlink("/nonexistent", base_ + "/base/5/999999");
  const Status strange = check_.TakeBase(FilesIn(base_), kPg15);
  ASSERT_FALSE(strange);
  EXPECT_NE(strange.error().message.find("base/5/999999"), std::string::npos);
  fs::remove(base_ + "/base/5/999999");
  fs::create_symlink("/nonexistent", base_ + "/pg_tblspc/16400");
  EXPECT_FALSE(check_.TakeBase(FilesIn(base_), kPg15));
  EXPECT_TRUE(check_.TakeBase(FilesIn(base_), kPg15, true));
}

// A relation map that changes while a later backup is taken may be of any time there, but it is there.
TEST_F(FileCheckTest, ARelationMapThatChangesLateIsThere) {
  const std::string map(kPg15.relation_map_size, 'm');
  const auto write = [](const std::string& directory, const std::string& text) {
    std::ofstream(directory + "/base/5/pg_filenode.map", std::ios::binary) << text;
  };
  const auto compare = [&] {
    VerifyResult result;
    FileCheck check(*base_files_, data_files_.get());
    EXPECT_TRUE(check.TakeBase(FilesIn(base_), kPg15));
    Change change{};
    change.kind = ChangeKind::kRelationMap;
    change.key = PageKey::OfRelationMap(1663, 5);
    change.payload = {reinterpret_cast<const uint8_t*>(map.data()), map.size()};
    check.Take(change, {Lsn(500), Lsn(600), {}});
    EXPECT_TRUE(check.Compare({.on_disk = FilesIn(data_),
                               .touched = {},
                               .sought = {},
                               .settled = Lsn(400),
                               .log = nullptr},
                              &result));
    return Names(result.mismatches);
  };
  write(base_, std::string(map.size(), 'b'));
  EXPECT_EQ(compare(), Strings{"base/5/pg_filenode.map: missing file"});
  write(data_, "short");
  EXPECT_EQ(compare(), Strings{"base/5/pg_filenode.map: short file"});
  write(data_, std::string(map.size(), 'x'));
  EXPECT_EQ(compare(), Strings());
}

// The state files of prepared transactions.
TEST_F(FileCheckTest, PreparedTransactions) {
  const auto write = [](const std::string& directory, const char* name, const std::string& text) {
    fs::create_directories(directory + "/pg_twophase");
    std::ofstream(directory + "/pg_twophase/" + name, std::ios::binary) << text;
  };
  TwoPhaseCheck check;
  write(base_, "00000300", "of the backup");
  write(base_, "00000301", "ended later");
  // A crash has left the file of a transaction that has ended: 0x302, by pg_xact.
  std::string log(kBlockSize, '\0');
  log[0x302 / 4] = 2 << 2 * (0x302 % 4);
  fs::create_directories(base_ + "/pg_xact");
  std::ofstream(base_ + "/pg_xact/0000", std::ios::binary) << log;
  write(base_, "00000302", "stale");
  CommitLog commit_log(*base_files_, 3, 0x400);
  ASSERT_TRUE(check.ReadBase(*base_files_, FilesIn(base_), kPg15, 0x400, &commit_log));
  const std::string state = "the state";
  Change change{};
  const auto take = [&](ChangeKind kind, uint32_t xid) {
    change.kind = kind;
    change.number = xid;
    change.payload = {reinterpret_cast<const uint8_t*>(state.data()), state.size()};
    check.Take(change, {Lsn(100), Lsn(200), {}});
  };
  take(ChangeKind::kFinishPrepared, 0x301);
  take(ChangeKind::kPrepare, 0x30a);
  take(ChangeKind::kPrepare, 0x30b);
  take(ChangeKind::kFinishPrepared, 0x30b);
  EXPECT_TRUE(check.HasPrepared());
  EXPECT_FALSE(TwoPhaseCheck().HasPrepared());
  const auto compare = [&](Lsn settled = {}) {
    VerifyResult result;
    EXPECT_TRUE(check.Compare(*data_files_, FilesIn(data_), 0x500, settled, {}, &result));
    ListInOrder(&result);
    return Names(result.mismatches);
  };
  EXPECT_EQ(compare(),
            (Strings{"pg_twophase/00000300: missing file", "pg_twophase/0000030A: missing file"}));
  // The backup has one that cannot be read, and has lost another: nothing is known of them on disk.
  fs::create_directories(base_ + "/pg_twophase/00000303");
  BaseFiles listed = FilesIn(base_);
  listed.files["pg_twophase/00000303"] = {0, ""};
  TwoPhaseCheck damaged;
  ASSERT_FALSE(damaged.ReadBase(*base_files_, listed, kPg15, 0x400, &commit_log));
  ASSERT_TRUE(damaged.ReadBase(*base_files_, listed, kPg15, 0x400, &commit_log, true));
  EXPECT_TRUE(damaged.HasPrepared());
  Findings losses;
  damaged.CheckBase(0x400, {"pg_twophase/00000300", "pg_twophase/00000301"}, &losses);
  EXPECT_EQ(losses.different(), 1u);
  for (const char* name : {"00000303", "00000304", "00000305"}) write(data_, name, "on disk");
  VerifyResult with_damage;
  ASSERT_TRUE(damaged.Compare(
      *data_files_, FilesIn(data_), 0x500, {},
      [](const std::string& file) { return file.ends_with("304"); }, &with_damage));
  ListInOrder(&with_damage);
  EXPECT_EQ(Names(with_damage.mismatches),
            (Strings{"pg_twophase/00000300: missing file", "pg_twophase/00000301: missing file",
                     "pg_twophase/00000305: extra file"}));
  fs::remove_all(data_ + "/pg_twophase");
  std::string file = state;
  const uint32_t crc = Crc32c({reinterpret_cast<const uint8_t*>(state.data()), state.size()});
  file.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  write(data_, "00000300", "of the backup");
  write(data_, "0000030A", file);
  EXPECT_EQ(compare(), Strings());
  write(data_, "0000030B", file);
  write(data_, "00000400", file);
  EXPECT_EQ(compare(),
            (Strings{"pg_twophase/00000400: extra file", "pg_twophase/0000030B: extra file"}));
  file[2] ^= 1;
  write(data_, "0000030A", file);
  write(data_, "00000300", "");
  EXPECT_EQ(compare().size(), 4u);
  EXPECT_EQ(compare(Lsn(150)), Strings{"pg_twophase/00000300: short file"});
}

TEST_F(FileCheckTest, PreparedTransactionsWithAnEpoch) {
  const auto write = [](const std::string& directory, const char* name, const std::string& text) {
    fs::create_directories(directory + "/pg_twophase");
    std::ofstream(directory + "/pg_twophase/" + name, std::ios::binary) << text;
  };
  TwoPhaseCheck check;
  write(base_, "0000000200000300", "of the backup");
  write(base_, "00000301", "a file of 15");
  write(base_, "0000000400000300", "of another epoch");
  CommitLog commit_log(*base_files_, 3, 0x2ff);
  ASSERT_TRUE(check.ReadBase(*base_files_, FilesIn(base_, kPg17), kPg17, uint64_t{2} << 32 | 0x2ff,
                             &commit_log));
  const auto compare = [&] {
    VerifyResult result;
    EXPECT_TRUE(check.Compare(*data_files_, FilesIn(data_, kPg17), uint64_t{2} << 32 | 0x500, {},
                              {}, &result));
    ListInOrder(&result);
    return Names(result.mismatches);
  };
  EXPECT_EQ(compare(), Strings{"pg_twophase/0000000200000300: missing file"});
  write(data_, "0000000200000300", "of the backup");
  EXPECT_EQ(compare(), Strings());
  write(data_, "0000000200000301", "");
  EXPECT_EQ(compare(), Strings{"pg_twophase/0000000200000301: extra file"});
  fs::remove(data_ + "/pg_twophase/0000000200000301");
  fs::rename(data_ + "/pg_twophase/0000000200000300", data_ + "/pg_twophase/0000000300000300");
  EXPECT_EQ(compare(), (Strings{"pg_twophase/0000000200000300: missing file",
                                "pg_twophase/0000000300000300: extra file"}));
}

// Each file is a page of zeroes.
class CountingBackup : public BaseBackup {
 public:
  explicit CountingBackup(size_t descriptors) : BaseBackup("counting"), descriptors_(descriptors) {}
  std::string kind() const override { return "a backup of zeroes"; }
  Result<BaseFiles> List() const override { return BaseFiles(); }
  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view) const override {
    opened++;
    return MakeTextFile(std::string(kBlockSize, '\0'));
  }
  size_t descriptors() const override { return descriptors_; }

  mutable int opened = 0;

 private:
  const size_t descriptors_;
};

TEST(RelationFilesTest, FilesThatHoldNoDescriptorStayOpenWhateverTheLimitIs) {
  const auto opened = [](size_t descriptors) {
    const CountingBackup backup(descriptors);
    RelationFiles files(&backup, &kPg15);
    uint8_t page[kBlockSize];
    for (int i = 0; i < 5; i++) {
      const auto found = files.Read({{1663, 5, 16384}, kMainFork, 0}, page);
      EXPECT_TRUE(found && *found == RelationFiles::Found::kPage);
    }
    return backup.opened;
  };
  EXPECT_EQ(opened(size_t{1} << 40), 5);
  EXPECT_EQ(opened(0), 1);
}

}  // namespace
}  // namespace neon_redo

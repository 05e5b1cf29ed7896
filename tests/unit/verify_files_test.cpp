// What verification makes of the files of a data directory, without WAL: names, sizes, databases.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/findings.h"
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
    check_.Take(change, {Lsn(100), Lsn(200), {}});
  }

  // "file: damage" for each difference.
  std::vector<std::string> Compare(const ForkSizes& touched = {}) {
    VerifyResult result;
    const Status status = check_.Compare(touched, kPg15, Lsn(), &result);
    EXPECT_TRUE(status) << status.error().message;
    std::vector<std::string> out;
    for (const Mismatch& m : result.mismatches) out.push_back(m.file + ": " + DamageName(m.damage));
    return out;
  }

  const std::string base_ = ::testing::TempDir() + "file_check_base";
  const std::string data_ = ::testing::TempDir() + "file_check_data";
  const RelFileNode rel_{1663, 5, 16384};
  FileCheck check_{base_, data_};
};

using Strings = std::vector<std::string>;

TEST_F(FileCheckTest, ListsRelationFilesAndNothingElse) {
  WriteZeroes(data_, "16384", uint64_t{1} << 30);
  WriteZeroes(data_, "16384.1", 2 * kBlockSize + 7);
  WriteZeroes(data_, "16384_vm", kBlockSize);
  WriteZeroes(data_, "16385_init", 0);
  for (const char* other :
       {"t3_16386", "016387", "16388_x", "16389.", "PG_VERSION", "_vm", "16390x"})
    WriteZeroes(data_, other, kBlockSize);
  const auto list = ListRelationFiles(data_, kPg15);
  ASSERT_TRUE(list) << list.error().message;
  const std::map<BlockTag, uint32_t> expected{{{rel_}, (1 << 17) + 2},
                                              {{rel_, kVisibilityMapFork, 0}, 1},
                                              {{{1663, 5, 16385}, kInitFork, 0}, 0}};
  EXPECT_EQ(list->forks, expected);
  EXPECT_EQ(list->databases, (std::set<std::pair<uint32_t, uint32_t>>{{1663, 5}, {1664, 0}}));
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
  EXPECT_EQ(ReadBackupLabel(base_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadControlData(base_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ListRelationFiles(base_, kPg15).error().code, ErrorCode::kInvalidArgument);
  RelationFiles files(base_, &kPg15);
  alignas(8) uint8_t page[kBlockSize];
  for (const uint32_t rel : {1u, 2u})
    EXPECT_EQ(files.Read({{1663, 5, rel}}, page).error().code, ErrorCode::kInvalidArgument) << rel;
  EXPECT_EQ(files.Read({{1663, 5, 3}}, page).value(), RelationFiles::Found::kNoFile);
  for (const char* name : {"/backup_label", "/global/pg_control"}) {
    fs::remove(base_ + name);
    fs::create_symlink("/dev/zero", base_ + name);
  }
  EXPECT_EQ(ReadBackupLabel(base_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadControlData(base_).error().code, ErrorCode::kInvalidArgument);
  fs::remove(base_ + "/backup_label");
  std::ofstream(base_ + "/backup_label") << "START";
  fs::resize_file(base_ + "/backup_label", uint64_t{2} << 30);
  EXPECT_EQ(ReadBackupLabel(base_).error().code, ErrorCode::kCorrupt);
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
  VerifyResult result;
  EXPECT_EQ(check_.Compare({}, kPg15, Lsn(), &result).error().code, ErrorCode::kInvalidArgument);
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
  Write(data_, "6", 2);                     // unlogged
  EXPECT_EQ(Compare(),
            (Strings{"base/5/1: short file", "base/5/2: long file", "base/5/4: missing file"}));
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

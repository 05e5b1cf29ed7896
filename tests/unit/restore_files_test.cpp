// What a restore makes of files: the output directory, changes of whole files, free space maps, settings.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cpp_core/backup/manifest.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/setting.h"
#include "cpp_core/restore/base_copy.h"
#include "cpp_core/restore/change_log.h"
#include "cpp_core/restore/file_changes.h"
#include "cpp_core/restore/free_space.h"
#include "cpp_core/restore/in_place.h"
#include "cpp_core/restore/new_backup.h"
#include "cpp_core/restore/output.h"
#include "cpp_core/restore/server_files.h"
#include "cpp_core/restore/tablespaces.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

constexpr RelFileNode kRel{1663, 5, 100};

class RestoreFilesTest : public ::testing::Test {
 protected:
  RestoreFilesTest() : output_(directory_.path() + "/out") {
    fs::create_directories(output_.path() + "/base/5");
    fs::create_directories(output_.path() + "/pg_tblspc");
  }

  void Make(const std::string& name, uint64_t blocks) {
    std::ofstream(output_.PathOf(name)).flush();
    fs::resize_file(output_.PathOf(name), blocks * kBlockSize);
  }
  // Blocks of a file; -1: it is not there.
  int64_t Blocks(const std::string& name) const {
    std::error_code error;
    const auto size = fs::file_size(output_.PathOf(name), error);
    return error ? -1 : static_cast<int64_t>(size / kBlockSize);
  }
  std::string Read(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(output_.PathOf(name)).rdbuf();
    return text.str();
  }
  void Take(ChangeKind kind, const PageKey& key, uint32_t number = 0,
            uint8_t flags = kNewRelationFile) {
    Change change{};
    change.kind = kind;
    change.key = key;
    change.number = number;
    change.flags = flags;
    changes_.Take(change);
  }
  void TakeFork(ChangeKind kind, uint8_t fork, uint32_t number = 0,
                uint8_t flags = kNewRelationFile) {
    Take(kind, PageKey::OfRelationSize(kRel, fork), number, flags);
  }
  void Apply() {
    const Status applied = changes_.Apply(output_);
    EXPECT_TRUE(applied) << applied.error().message;
  }

  TempDirectory directory_;
  OutputDirectory output_;
  FileChanges changes_{kPg15, {{16400, ""}}};
};

TEST_F(RestoreFilesTest, ARelationThatIsDroppedLosesAllItsFiles) {
  for (const char* name :
       {"base/5/100", "base/5/100.1", "base/5/100_fsm", "base/5/100_vm", "base/5/101"})
    Make(name, 2);
  TakeFork(ChangeKind::kDropRelation, kMainFork);
  Apply();
  for (const char* name : {"base/5/100", "base/5/100.1", "base/5/100_fsm", "base/5/100_vm"})
    EXPECT_EQ(Blocks(name), -1) << name;
  EXPECT_EQ(Blocks("base/5/101"), 2);
}

TEST_F(RestoreFilesTest, ANewRelationHasNothingOfAnOlderOne) {
  Make("base/5/100", 5);
  Make("base/5/100_vm", 1);
  TakeFork(ChangeKind::kCreateFork, kMainFork);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), 0);
  EXPECT_EQ(Blocks("base/5/100_vm"), -1);
  // And once it is there, that it is dropped counts.
  TakeFork(ChangeKind::kCreateFork, kMainFork);
  TakeFork(ChangeKind::kDropRelation, kMainFork);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), -1);
}

TEST_F(RestoreFilesTest, AnInitForkLeavesTheMainForkAlone) {
  Make("base/5/100", 5);
  TakeFork(ChangeKind::kCreateFork, kInitFork);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), 5);
  EXPECT_EQ(Blocks("base/5/100_init"), 0);
}

TEST_F(RestoreFilesTest, TheDeepestCutCounts) {
  Make("base/5/100", 9);
  for (const uint32_t blocks : {7u, 3u, 6u}) TakeFork(ChangeKind::kTruncateFork, kMainFork, blocks);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), 3);
  TakeFork(ChangeKind::kTruncateFork, kMainFork, 8);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), 3);  // a cut makes nothing longer
  TakeFork(ChangeKind::kTruncateFork, kMainFork, 0);
  TakeFork(ChangeKind::kCreateFork, kMainFork, 0, 0);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), 0);
}

TEST_F(RestoreFilesTest, ATruncationMakesAFileThatIsMissing) {
  TakeFork(ChangeKind::kCreateFork, kMainFork, 0, 0);
  TakeFork(ChangeKind::kTruncateFork, kMainFork, 3);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), 0);
}

TEST_F(RestoreFilesTest, FilesAfterTheFirstAreCutAndFilled) {
  Make("base/5/100", 131072);
  Make("base/5/100.1", 131072);
  Make("base/5/100.2", 4);
  TakeFork(ChangeKind::kTruncateFork, kMainFork, 131072 + 5);
  Apply();
  EXPECT_EQ(Blocks("base/5/100"), 131072);
  EXPECT_EQ(Blocks("base/5/100.1"), 5);
  EXPECT_EQ(Blocks("base/5/100.2"), -1);
  // Pages were written far after the end.
  Make("base/5/100.3", 1);
  ASSERT_TRUE(output_.FillFork(kPg15, {kRel, kMainFork, 0}, 3 * 131072 + 1));
  EXPECT_EQ(Blocks("base/5/100.1"), 131072);
  EXPECT_EQ(Blocks("base/5/100.2"), 131072);
  EXPECT_EQ(Blocks("base/5/100.3"), 1);
}

TEST_F(RestoreFilesTest, Databases) {
  Make("base/5/100", 1);
  Take(ChangeKind::kDropDatabase, PageKey::OfRelationMap(1663, 5));
  Take(ChangeKind::kCreateDatabase, PageKey::OfRelationMap(1663, 6));
  Take(ChangeKind::kCreateFork, PageKey::OfRelationSize({1663, 6, 7}, kMainFork));
  const std::string map(kPg15.relation_map_size, 'm');
  Change change{};
  change.kind = ChangeKind::kRelationMap;
  change.key = PageKey::OfRelationMap(1663, 6);
  change.payload = Bytes(reinterpret_cast<const uint8_t*>(map.data()), map.size());
  changes_.Take(change);
  Apply();
  EXPECT_FALSE(fs::exists(output_.PathOf("base/5")));
  EXPECT_EQ(Read("base/6/PG_VERSION"), "15\n");
  EXPECT_EQ(Blocks("base/6/7"), 0);
  EXPECT_EQ(Read("base/6/pg_filenode.map"), map);
  // A database that is made again has nothing of what was there.
  Take(ChangeKind::kDropDatabase, PageKey::OfRelationMap(1663, 6));
  Take(ChangeKind::kCreateDatabase, PageKey::OfRelationMap(1663, 6));
  Apply();
  EXPECT_EQ(Blocks("base/6/7"), -1);
  EXPECT_EQ(Read("base/6/PG_VERSION"), "15\n");
}

TEST_F(RestoreFilesTest, Tablespaces) {
  const std::string place = directory_.path() + "/place";
  fs::create_directories(place);
  FileChanges changes(kPg15, {{16400, ""}, {16401, place}});
  Change change{};
  for (const uint32_t oid : {16400u, 16401u}) {
    change.kind = ChangeKind::kCreateTablespace;
    change.number = oid;
    changes.Take(change);
  }
  ASSERT_TRUE(changes.Apply(output_));
  EXPECT_TRUE(fs::is_directory(output_.PathOf("pg_tblspc/16400/PG_15_202209061")));
  EXPECT_EQ(fs::read_symlink(output_.PathOf("pg_tblspc/16401")), place);
  EXPECT_TRUE(fs::is_directory(place + "/PG_15_202209061"));
  change.kind = ChangeKind::kDropTablespace;
  changes.Take(change);
  ASSERT_TRUE(changes.Apply(output_));
  EXPECT_FALSE(fs::exists(place + "/PG_15_202209061"));
  EXPECT_TRUE(fs::is_directory(place));
  EXPECT_FALSE(fs::is_symlink(output_.PathOf("pg_tblspc/16401")));
}

TEST_F(RestoreFilesTest, ADirectoryThatHoldsSomethingIsNotFree) {
  const std::string path = directory_.path() + "/a/b";
  EXPECT_TRUE(OutputDirectory::CheckFree(path));
  ASSERT_TRUE(OutputDirectory::Begin(path));
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
  EXPECT_TRUE(fs::exists(path + "/" + kRestoringFile));
  // What an incomplete restore has left goes.
  std::ofstream(path + "/left") << "x";
  ASSERT_TRUE(OutputDirectory::Begin(path));
  EXPECT_FALSE(fs::exists(path + "/left"));
  // One that only lacks its last step does not.
  fs::create_directories(path + "/global");
  std::ofstream(path + "/global/pg_control") << "x";
  const Status free = OutputDirectory::CheckFree(path);
  ASSERT_FALSE(free);
  EXPECT_EQ(free.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(OutputDirectory::Begin(path));
  EXPECT_TRUE(fs::exists(path + "/global/pg_control"));
  // Nor one of somebody else, or a file.
  EXPECT_FALSE(OutputDirectory::CheckFree(output_.path()));
  std::ofstream(directory_.path() + "/file") << "x";
  EXPECT_FALSE(OutputDirectory::CheckFree(directory_.path() + "/file"));
}

TEST_F(RestoreFilesTest, ADeltaIsOnlyForTheSameCluster) {
  const std::string path = directory_.path() + "/d";
  EXPECT_TRUE(OutputDirectory::CheckDelta(path, 1));
  fs::create_directories(path + "/global");
  EXPECT_FALSE(OutputDirectory::CheckDelta(path, 1));  // it holds something, and no cluster
  const std::string control = pg::EmptyControlFile(kPg15);
  std::ofstream(path + "/global/pg_control", std::ios::binary) << control;
  EXPECT_TRUE(OutputDirectory::CheckDelta(path, 1));
  const Status other = OutputDirectory::CheckDelta(path, 2);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("system identifiers 1 and 2"), std::string::npos);
  std::ofstream(path + "/kept") << "x";
  fs::create_directory_symlink(directory_.path(), path + "/pg_wal");
  ASSERT_TRUE(OutputDirectory::BeginDelta(path, 1));
  EXPECT_TRUE(fs::exists(path + "/kept"));
  EXPECT_FALSE(fs::is_symlink(path + "/pg_wal"));
  EXPECT_TRUE(fs::exists(directory_.path()));
  EXPECT_FALSE(fs::exists(path + "/global/pg_control"));
  // Whatever ends it, it goes on.
  EXPECT_TRUE(OutputDirectory::CheckDelta(path, 1));
  ASSERT_TRUE(OutputDirectory::BeginDelta(path, 1));
}

TEST_F(RestoreFilesTest, TheLastStepGivesTheControlFileItsName) {
  const std::string path = directory_.path() + "/c", space = directory_.path() + "/space";
  ASSERT_TRUE(OutputDirectory::Begin(path));
  ASSERT_TRUE(OutputDirectory::Begin(space));
  const OutputDirectory output(path);
  ASSERT_TRUE(output.MakeDirectory("pg_tblspc"));
  ASSERT_TRUE(output.MakeLink("pg_tblspc/16400", space));
  ASSERT_TRUE(output.WriteFile("global/pg_control.x", "content"));
  ASSERT_TRUE(output.Sync(2));
  ASSERT_TRUE(output.Complete({space}, "global/pg_control.x", "global/pg_control", true));
  EXPECT_FALSE(fs::exists(path + "/" + kRestoringFile));
  EXPECT_FALSE(fs::exists(space + "/" + kRestoringFile));
  EXPECT_FALSE(fs::exists(path + "/global/pg_control.x"));
  EXPECT_TRUE(fs::exists(path + "/global/pg_control"));
}

TEST(RestoreCopyTest, WhatIsAndWhatIsNotCopied) {
  for (const char* name : {"base/5/1259", "global/1262", "pg_xact/0000", "postgresql.conf",
                           "PG_VERSION", "global/pg_filenode.map", "base/5/100_init",
                           "pg_logical/mappings/map-1", "pg_tblspc/16400/PG_15_202209061/5/100"})
    EXPECT_TRUE(IsCopied(name)) << name;
  for (const char* name :
       {"backup_label", "tablespace_map", "global/pg_control", "postmaster.pid",
        "pg_wal/000000010000000000000001", "pg_replslot/s/state", "base/5/t3_16384",
        "base/5/pg_internal.init", "global/pg_internal.init", "standby.signal", "recovery.signal",
        "base/pgsql_tmp/pgsql_tmp1.0", "pg_twophase/000002F1", "postgresql.auto.conf",
        "backup_manifest", "neon_redo.restoring", "pg_tblspc/16400/neon_redo.restoring",
        "pg_logical/replorigin_checkpoint"})
    EXPECT_FALSE(IsCopied(name)) << name;
}

// As fsm_set_avail and fsm_truncate_avail leave a page.
TEST(FreeSpaceTest, ACutPagePromisesNothingAfterItsLastSlot) {
  constexpr size_t kNodes = 28, kInner = 4095, kSlots = 4069;
  std::vector<uint8_t> page(kBlockSize, 0);
  page[kNodes + kInner + 10] = 50;
  page[kNodes + kInner + 4000] = 200;
  free_space::SetLast(page.data(), 4068, 0);
  EXPECT_EQ(free_space::Most(page.data()), 200);
  free_space::SetLast(page.data(), 4000, 0);
  EXPECT_EQ(free_space::Most(page.data()), 50);
  free_space::SetLast(page.data(), 11, 7);
  EXPECT_EQ(free_space::Most(page.data()), 50);
  EXPECT_EQ(page[kNodes + kInner + 11], 7);
  for (size_t slot = 12; slot < kSlots; slot++) EXPECT_EQ(page[kNodes + kInner + slot], 0);
  for (size_t node = 0; node < kInner; node++) {
    const size_t left = 2 * node + 1;
    const uint8_t most =
        std::max(left < kInner + kSlots ? page[kNodes + left] : uint8_t{0},
                 left + 1 < kInner + kSlots ? page[kNodes + left + 1] : uint8_t{0});
    ASSERT_EQ(page[kNodes + node], most) << node;
  }
  free_space::SetLast(page.data(), 0, 0);
  EXPECT_EQ(free_space::Most(page.data()), 0);
}

TEST(RestoreSettingsTest, SettingsOfAnEarlierRecoveryGo) {
  const std::string before =
      "# Do not edit this file manually!\n"
      "work_mem = '4MB'\n"
      "restore_command = 'old'\n"
      "  Recovery_Target_Time='2024-01-01'\n"
      "recovery_target_action = 'pause'\n"
      "primary_conninfo = 'host=a'";
  EXPECT_EQ(WithRecoverySettings(before, {{"restore_command", "cp 'a' \"%p\""},
                                          {"recovery_target_name", "it's \\"}}),
            "# Do not edit this file manually!\n"
            "work_mem = '4MB'\n"
            "primary_conninfo = 'host=a'\n"
            "restore_command = 'cp ''a'' \"%p\"'\n"
            "recovery_target_name = 'it''s \\\\'\n");
}

TEST(RestoreSettingsTest, TheRestoreCommand) {
  EXPECT_EQ(RestoreCommandOf({"/a"}, ""), "{ test -f '/a/%f' && cp '/a/%f' \"%p\"; }");
  EXPECT_EQ(
      RestoreCommandOf({"/it's", "/100%"}, ""),
      "{ test -f '/it'\\''s/%f' && cp '/it'\\''s/%f' \"%p\"; } || { test -f '/100%%/%f' && cp "
      "'/100%%/%f' \"%p\"; }");
  EXPECT_EQ(RestoreCommandOf({}, "get %f %p"), "get %f %p");
  EXPECT_EQ(RestoreCommandOf({"/a"}, "get %f %p"),
            "{ test -f '/a/%f' && cp '/a/%f' \"%p\"; } || { get %f %p\n}");
  EXPECT_EQ(RestoreCommandOf({}, ""), "false");
}

// As a shell runs it: a file in either directory, or in none.
TEST_F(RestoreFilesTest, TheRestoreCommandOfTwoDirectories) {
  const std::string a = directory_.path() + "/a", b = directory_.path() + "/b";
  for (const std::string& directory : {a, b}) std::filesystem::create_directory(directory);
  std::ofstream(a + "/first") << "1";
  std::ofstream(b + "/second") << "2";
  const auto run = [&](const std::string& name) {
    std::string command = RestoreCommandOf({a, b}, "");
    for (const auto& [what, with] :
         {std::pair<std::string, std::string>("%f", name), {"%p", directory_.path() + "/got"}})
      for (size_t at; (at = command.find(what)) != command.npos;)
        command.replace(at, what.size(), with);
    return std::system(command.c_str());
  };
  EXPECT_EQ(run("first"), 0);
  EXPECT_EQ(run("second"), 0);
  EXPECT_NE(run("third"), 0);
}

TEST(RestoreSettingsTest, AValueMayHaveLines) {
  EXPECT_EQ(pg::QuotedSetting("a 'b' \\\nc"), "'a ''b'' \\\\\\nc'");
}

TEST_F(RestoreFilesTest, OneRestoreInPlaceAtATime) {
  auto lock = LockInPlace(output_.path());
  ASSERT_TRUE(lock) << lock.error().message;
  const auto second = LockInPlace(output_.path());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another restore writes into"), std::string::npos);
  lock->Reset();
  EXPECT_TRUE(LockInPlace(output_.path()));
  EXPECT_TRUE(LockInPlace(directory_.path() + "/none"));
}

// The output, and the place of a tablespace, are links to directories; a link of an old cluster leads nowhere.
TEST_F(RestoreFilesTest, LinksToDirectoriesAreFollowed) {
  const std::string path = directory_.path() + "/link", space = directory_.path() + "/space";
  for (const std::string& link : {path, space}) {
    fs::create_directory(link + ".real");
    fs::create_directory_symlink(link + ".real", link);
  }
  const auto mark = OutputDirectory::Begin(path);
  ASSERT_TRUE(mark) << mark.error().message;
  const OutputDirectory output(path);
  ASSERT_TRUE(output.MakeDirectory("pg_tblspc"));
  ASSERT_TRUE(output.MakeDirectory("global"));
  ASSERT_TRUE(output.MakeLink("pg_tblspc/16400", directory_.path() + "/nowhere"));
  TablespacePlan plan;
  plan.of_base[16400] = space;
  std::vector<FileDescriptor> marks;
  const Status made = MakeTablespaces(plan, output, &marks);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(fs::read_symlink(path + "/pg_tblspc/16400"), space);
  ASSERT_TRUE(output.WriteFile("global/pg_control.x", "content"));
  const Status done = output.Complete({space}, "global/pg_control.x", "global/pg_control", true);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_FALSE(fs::exists(space + "/" + kRestoringFile));
}

TEST_F(RestoreFilesTest, OneRestoreWritesIntoADirectory) {
  const std::string path = directory_.path() + "/one";
  auto mark = OutputDirectory::Begin(path);
  ASSERT_TRUE(mark) << mark.error().message;
  const auto second = OutputDirectory::Begin(path);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another restore writes into"), std::string::npos);
  mark->Reset();
  EXPECT_TRUE(OutputDirectory::Begin(path));
}

// What a log says, done to a directory that has some of it already.
TEST_F(RestoreFilesTest, ALogOfChangesMayBeDoneTwice) {
  const std::string path = directory_.path() + "/log";
  Make("base/5/100", 9);
  Make("base/5/101", 2);
  std::ofstream(output_.PathOf("old")) << "x";
  {
    auto log = LoggedDirectory::Make(output_.path(), path);
    ASSERT_TRUE(log) << log.error().message;
    const LoggedDirectory& to = **log;
    ASSERT_TRUE(to.CutFork(kPg15, {kRel, kMainFork, 0}, 3));
    ASSERT_TRUE(to.CutFork(kPg15, {{1663, 5, 101}, kMainFork, 0}, 0));
    auto file = to.Open("base/5/100");
    ASSERT_TRUE(file);
    const std::vector<uint8_t> page(kBlockSize, 7);
    ASSERT_TRUE((*file)->Write(5 * kBlockSize, page));
    ASSERT_TRUE(to.Open("base/5/102"));
    ASSERT_TRUE(to.MakeDirectory("base/6"));
    ASSERT_TRUE(to.WriteFile("base/6/PG_VERSION", "15\n"));
    ASSERT_TRUE(to.MakeLink("pg_tblspc/16400", directory_.path()));
    ASSERT_TRUE(to.Remove("old"));
    // The directory is as it was.
    EXPECT_EQ(Blocks("base/5/100"), 9);
    EXPECT_EQ(Blocks("base/5/101"), 2);
    EXPECT_EQ(Read("old"), "x");
    EXPECT_FALSE(ApplyChangeLog(path, kPg15, OutputDirectory(directory_.path() + "/elsewhere")));
    ASSERT_TRUE(to.End());
  }
  for (int time = 0; time < 2; time++) {
    const Status applied = ApplyChangeLog(path, kPg15, output_);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(Blocks("base/5/100"), 6);
    EXPECT_EQ(Read("base/5/100").substr(3 * kBlockSize),
              std::string(2 * kBlockSize, '\0') + std::string(kBlockSize, '\7'));
    EXPECT_EQ(Blocks("base/5/101"), -1);
    EXPECT_EQ(Blocks("base/5/102"), 0);
    EXPECT_EQ(Read("base/6/PG_VERSION"), "15\n");
    EXPECT_EQ(fs::read_symlink(output_.PathOf("pg_tblspc/16400")), directory_.path());
    EXPECT_FALSE(fs::exists(output_.PathOf("old")));
  }
  // Damage is no change.
  std::string text;
  {
    std::stringstream all;
    all << std::ifstream(path).rdbuf();
    text = all.str();
  }
  for (const size_t at : {size_t{0}, text.size() / 2, text.size() - 1}) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    std::ofstream(path, std::ios::trunc) << damaged;
    const Status applied = ApplyChangeLog(path, kPg15, output_);
    ASSERT_FALSE(applied) << at;
    EXPECT_EQ(applied.error().code, ErrorCode::kCorrupt);
  }
  std::ofstream(path, std::ios::trunc) << text.substr(0, text.size() - 32);
  EXPECT_FALSE(ApplyChangeLog(path, kPg15, output_));
}

RestartPoint SomePoint() {
  RestartPoint point{Lsn(0x5000100), Lsn(0x5000180)};
  point.checkpoint.redo = Lsn(0x50000D8);
  point.checkpoint.timeline = 3;
  return point;
}

TEST(NewBackupTest, TheLabelSaysWhereReplayBegins) {
  const std::string text = BackupLabelAt(SomePoint(), 16 << 20, 1717156800);
  EXPECT_EQ(text,
            "START WAL LOCATION: 0/50000D8 (file 000000030000000000000005)\n"
            "CHECKPOINT LOCATION: 0/5000100\n"
            "BACKUP METHOD: streamed\n"
            "BACKUP FROM: standby\n"
            "START TIME: 2024-05-31 12:00:00 GMT\n"
            "LABEL: neon-redo restore --synthetic-backup\n"
            "START TIMELINE: 3\n");
  const auto label = ParseBackupLabel(text);
  ASSERT_TRUE(label);
  EXPECT_EQ(label->start, Lsn(0x50000D8));
  EXPECT_EQ(label->timeline, 3u);
  EXPECT_TRUE(label->from_standby);
}

TEST_F(RestoreFilesTest, TheManifestHasAllFiles) {
  const std::string place = directory_.path() + "/place";
  ASSERT_TRUE(OutputDirectory::Begin(place));
  ASSERT_TRUE(output_.MakeLink("pg_tblspc/16400", place));
  for (const char* name :
       {"base/5/1", "global/pg_control.new", "pg_wal/000000030000000000000005",
        "postgresql.auto.conf", "neon_redo.restoring", "a \"quoted\" \n name", "not \xff UTF-8"})
    ASSERT_TRUE(output_.WriteFile(name, "123456789"));
  ASSERT_TRUE(output_.MakeDirectory("pg_tblspc/16400/PG_15_202209061"));
  ASSERT_TRUE(output_.WriteFile("pg_tblspc/16400/PG_15_202209061/2", ""));
  const RestartPoint point = SomePoint();
  for (const int major : {15, 17}) {
    const auto text = MakeManifest(output_, {.version = pg::FindVersionByMajor(major),
                                             .system_identifier = 7000000000000000001,
                                             .point = &point,
                                             .temporary = "global/pg_control.new",
                                             .name = "global/pg_control",
                                             .jobs = 2,
                                             .progress = {}});
    ASSERT_TRUE(text) << text.error().message;
    const auto manifest = ParseBackupManifest(*text);
    ASSERT_TRUE(manifest) << manifest.error().message << "\n" << *text;
    EXPECT_EQ(manifest->version, major == 15 ? 1 : 2);
    EXPECT_EQ(manifest->system_identifier.value_or(0), major == 15 ? 0 : 7000000000000000001u);
    std::vector<std::string> names;
    for (const ManifestFile& file : manifest->files) names.push_back(file.path);
    EXPECT_EQ(names,
              (std::vector<std::string>{"a \"quoted\" \n name", "base/5/1", "global/pg_control",
                                        "not \xff UTF-8", "pg_tblspc/16400/PG_15_202209061/2"}));
    EXPECT_EQ(manifest->files[1].size, 9u);
    EXPECT_EQ(manifest->files[1].kind, ChecksumKind::kCrc32c);
    EXPECT_EQ(manifest->files[1].checksum, "\x83\x92\x06\xe3");  // of 123456789
    ASSERT_EQ(manifest->wal_ranges.size(), 1u);
    EXPECT_EQ(manifest->wal_ranges[0].timeline, 3u);
    EXPECT_EQ(manifest->wal_ranges[0].start, Lsn(0x50000D8));
    EXPECT_EQ(manifest->wal_ranges[0].end, Lsn(0x5000180));
  }
}

}  // namespace
}  // namespace neon_redo

// Chains of incremental backups: which block comes from where, and chains that do not fit.
#include <gtest/gtest.h>

#include <algorithm>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/incremental_file.h"
#include "cpp_core/backup/range_file.h"
#include "neon_redo/block.h"
#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

std::string Number(uint32_t number) { return {reinterpret_cast<const char*>(&number), 4}; }
std::string Block(char fill) { return std::string(kBlockSize, fill); }

// An incremental file whose blocks are filled with `fill`.
std::string Part(uint32_t truncation, const std::vector<uint32_t>& blocks, char fill) {
  std::string out =
      Number(0xd3ae1f0d) + Number(static_cast<uint32_t>(blocks.size())) + Number(truncation);
  for (const uint32_t block : blocks) out += Number(block);
  if (!blocks.empty()) out.resize((out.size() + kBlockSize - 1) / kBlockSize * kBlockSize);
  for (size_t i = 0; i < blocks.size(); i++) out += Block(fill);
  return out;
}

class IncrementalTest : public testing::Test {
 protected:
  // number 0 is the full one; each begins 0x1000 after the one before.
  std::string Write(int number, const std::string& name, const std::string& content,
                    const std::string& more_of_label = "") {
    const std::string path = Path(number);
    const auto lsn = [](int of) { return fmt::format("0/{:X}", 0x2000028 + of * 0x1000); };
    const std::string from =
        number == 0
            ? ""
            : fmt::format("INCREMENTAL FROM LSN: {}\nINCREMENTAL FROM TLI: 1\n", lsn(number - 1));
    WriteText(path + "/PG_VERSION", "17\n");
    WriteText(path + "/global/pg_control", ControlFileOf(kPg17));
    WriteText(path + "/backup_label", LabelAt(lsn(number), 1, from + more_of_label));
    if (!name.empty()) WriteText(path + "/" + name, content);
    return path;
  }
  std::string Path(int number) const { return fmt::format("{}/{}", directory_.path(), number); }
  static Result<std::unique_ptr<BaseBackup>> Open(const std::string& path,
                                                  std::vector<std::string> prior) {
    BaseBackupOptions options;
    options.prior = std::move(prior);
    return OpenBaseBackup(path, options);
  }

  TempDirectory directory_;
};

TEST_F(IncrementalTest, EachBlockComesFromTheNewestThatHasIt) {
  Write(0, "base/5/1", Block('a') + Block('b') + Block('c') + Block('d') + "half");
  Write(1, "base/5/INCREMENTAL.1", Part(6, {1, 5}, 'B'));
  Write(2, "base/5/INCREMENTAL.1", Part(5, {2, 7}, 'C'));
  Write(2, "base/5/2", "new");
  Write(0, "base/5/3", "dropped");
  Write(1, "base/5/4", Block('x'));
  Write(2, "base/5/INCREMENTAL.4", Part(2, {}, 'x'));
  Write(2, "INCREMENTAL.conf", "no relation");
  const auto backup = Open(Path(2), {Path(0), Path(1)});
  ASSERT_TRUE(backup) << backup.error().message;
  const auto files = (*backup)->List();
  ASSERT_TRUE(files) << files.error().message;
  // 5 in the second is behind the newest's truncation.
  const std::string expected = Block('a') + Block('B') + Block('C') + Block('d') + Block('\0') +
                               Block('\0') + Block('\0') + Block('C');
  EXPECT_EQ(files->files.at("base/5/1").size, expected.size());
  EXPECT_TRUE(ReadBackwards(**backup, "base/5/1", expected.size()) == expected);
  EXPECT_TRUE((*backup)->ReadWhole("base/5/1", 1 << 20) == expected);
  EXPECT_EQ((*backup)->ReadWhole("base/5/2", 9), "new");
  EXPECT_TRUE((*backup)->ReadWhole("base/5/4", 1 << 20) == Block('x') + Block('\0'));
  EXPECT_EQ((*backup)->ReadWhole("INCREMENTAL.conf", 99), "no relation");
  EXPECT_FALSE(files->files.contains("base/5/3"));
  EXPECT_FALSE(files->files.contains("base/5/INCREMENTAL.1"));
  for (const char* name : {"base/5/3", "base/5/INCREMENTAL.1", "backup_manifest", "base/5/9"})
    EXPECT_EQ((*backup)->OpenFile(name).error().code, ErrorCode::kNotFound) << name;
  const auto label = (*backup)->ReadWhole("backup_label", 9999);
  EXPECT_EQ(label->find("INCREMENTAL"), std::string::npos);
  EXPECT_EQ(files->files.at("backup_label").size, label->size());
  EXPECT_EQ((*backup)->Links().size(), 3u);
}

TEST_F(IncrementalTest, ChainsThatDoNotFit) {
  for (int i = 0; i < 4; i++) Write(i, "", "");
  const auto error = [&](std::vector<int> prior, int newest = 2) {
    std::vector<std::string> paths;
    for (const int number : prior) paths.push_back(Path(number));
    return ErrorOf(Open(Path(newest), paths));
  };
  EXPECT_EQ(error({0, 1}), "");
  EXPECT_EQ(error({1, 0}), "");
  EXPECT_EQ(error({0}, 1), "");
  EXPECT_NE(error({}).find("the one that begins at 0/2001028 on timeline 1, which is not among"),
            std::string::npos);
  EXPECT_NE(error({1}).find("the one that begins at 0/2000028"), std::string::npos);
  EXPECT_NE(error({0}).find("the one that begins at 0/2001028"), std::string::npos);
  EXPECT_NE(error({0, 1, 3}).find("is no part of the chain"), std::string::npos);
  EXPECT_NE(error({0, 1, 1}).find("is no part of the chain"), std::string::npos);
  EXPECT_NE(error({1}, 0).find("is a full one"), std::string::npos);
  // Of another timeline; of another cluster.
  WriteText(Path(1) + "/backup_label",
            LabelAt("0/2001028", 2, "INCREMENTAL FROM LSN: 0/2000028\nINCREMENTAL FROM TLI: 1\n"));
  EXPECT_NE(error({0, 1}).find("on timeline 1"), std::string::npos);
  Write(1, "", "");
  WriteText(Path(0) + "/global/pg_control", ControlFileOf(kPg18));
  EXPECT_NE(error({0, 1}).find("of different clusters"), std::string::npos);
}

TEST_F(IncrementalTest, FilesThatAreMissingInTheChain) {
  Write(0, "", "");
  Write(1, "base/5/INCREMENTAL.1", Part(2, {1}, 'B'));
  auto backup = Open(Path(1), {Path(0)});
  ASSERT_TRUE(backup);
  EXPECT_NE(ErrorOf((*backup)->OpenFile("base/5/1")).find("corrupt: file \"base/5/1\" of"),
            std::string::npos);
  Write(0, "base/5/INCREMENTAL.1", Part(2, {0}, 'A'));
  EXPECT_NE(ErrorOf((*backup)->OpenFile("base/5/1")).find("no backup of the chain has the whole"),
            std::string::npos);
  Write(1, "base/5/1", "both");
  EXPECT_EQ((*backup)->List()->files.at("base/5/1").strange,
            "both a whole file and an incremental one");
}

TEST_F(IncrementalTest, HeadersThatCannotBe) {
  const auto problem = [](const std::string& bytes) {
    return ErrorOf(ReadIncrementalHeader(*MakeTextFile(bytes), "file \"x\""));
  };
  const std::string good = Part(3, {0, 2, 9}, 'x');
  EXPECT_EQ(problem(good), "");
  EXPECT_EQ(problem(Part(7, {}, 'x')), "");
  for (size_t size = 0; size < good.size(); size += size < 30 ? 1 : 500)
    EXPECT_NE(problem(good.substr(0, size)).find("corrupt: file \"x\""), std::string::npos) << size;
  EXPECT_NE(problem(good + "x"), "");
  const std::pair<size_t, uint32_t> changes[] = {
      {0, 1},          {4, 2},  {4, 4},       {4, 131073}, {4, UINT32_MAX},  {8, 131073},
      {8, UINT32_MAX}, {12, 2}, {12, 131072}, {16, 0},     {20, UINT32_MAX}, {20, 2}};
  for (const auto& [at, number] : changes) {
    std::string changed = good;
    changed.replace(at, 4, Number(number));
    EXPECT_NE(problem(changed).find("corrupt"), std::string::npos) << at << " " << number;
  }
  EXPECT_EQ(problem(Part(131072, {131071}, 'x')), "");
}

TEST_F(IncrementalTest, ASizeThatTheManifestDenies) {
  Write(0, "base/5/1", Block('a') + Block('b'));
  Write(1, "base/5/INCREMENTAL.1", Part(2, {}, 'x'));
  WriteText(
      Path(0) + "/backup_manifest",
      SealedManifest("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{ \"Path\": "
                     "\"base/5/1\", \"Size\": 16384 }\n],\n\"WAL-Ranges\": [],\n"));
  auto backup = Open(Path(1), {Path(0)});
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_TRUE((*backup)->ReadWhole("base/5/1", 1 << 20) == Block('a') + Block('b'));
  Write(0, "base/5/1", Block('a'));
  EXPECT_NE(ErrorOf((*backup)->OpenFile("base/5/1")).find("has 8192 bytes, and by backup_manifest"),
            std::string::npos);
  // A damaged manifest is reported with the backup, which is read without it.
  WriteText(Path(0) + "/backup_manifest", "{}");
  backup = Open(Path(1), {Path(0)});
  ASSERT_TRUE(backup) << backup.error().message;
  const auto remarks = (*backup)->Remarks();
  EXPECT_TRUE(std::any_of(remarks.begin(), remarks.end(), [&](const std::string& remark) {
    return remark.find(Path(0)) != std::string::npos;
  }));
}

}  // namespace
}  // namespace neon_redo

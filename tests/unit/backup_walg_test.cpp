// WAL-G's storage: which block comes from which backup, and what damaged and hostile ones may hold.
#include <gtest/gtest.h>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/limited_backup.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/backup/walg_increment.h"
#include "cpp_core/backup/walg_sentinel.h"
#include "neon_redo/block.h"
#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

std::string Block(char fill) { return std::string(kBlockSize, fill); }

template <typename T>
std::string Raw(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

// An increment of a file of `length` bytes, whose blocks are filled with `fill`.
std::string Increment(uint64_t length, const std::vector<uint32_t>& blocks, char fill) {
  std::string out = "wi1\x55" + Raw(length) + Raw(static_cast<uint32_t>(blocks.size()));
  for (const uint32_t block : blocks) out += Raw(block);
  for (size_t i = 0; i < blocks.size(); i++) out += Block(fill);
  return out;
}

class WalgTest : public testing::Test {
 protected:
  static std::string Name(int number) {
    return fmt::format("base_00000001000000000000000{}", number);
  }
  static std::string Lsn(int number) { return fmt::format("{}", 0x1000028 + number * 0x1000000); }
  std::string Directory() const { return storage_ + "/basebackups_005/"; }
  std::string Archive(int number, const std::string& archive) const {
    return Directory() + Name(number) + "/tar_partitions/" + archive;
  }
  void WriteSentinel(int number, const std::string& more = "") const {
    WriteText(
        Directory() + Name(number) + "_backup_stop_sentinel.json",
        fmt::format(R"({{"LSN":{},"FinishLSN":99999999,"PgVersion":150004,"UserData":null{}}})",
                    Lsn(number), more));
  }
  static std::string From(int number) {
    return fmt::format(R"(,"DeltaFrom":"{}","DeltaLSN":{},"DeltaCount":1)", Name(number),
                       Lsn(number));
  }
  // files: of files_metadata.json, each with "+" after its name if it is an increment, "-" if it is left
  // out.
  void WriteFiles(int number, const std::vector<std::string>& files) const {
    std::string text;
    for (std::string file : files) {
      const char end = file.back();
      if (end == '+' || end == '-') file.pop_back();
      text += fmt::format(R"({}"{}":{{"IsIncremented":{},"IsSkipped":{},"MTime":"2026"}})",
                          text.empty() ? "" : ",", file, end == '+', end == '-');
    }
    WriteText(
        Directory() + Name(number) + "/files_metadata.json",
        fmt::format(R"({{"TarFileSets":{{"part_1.tar":["/a","/b"]}},"Files":{{{}}}}})", text));
  }
  void WriteTar(int number, const std::string& archive, const Tar& tar) const {
    WriteText(Archive(number, archive), tar.Whole());
  }
  // pg_control, and backup_label, in archives of their own.
  void WriteUtility(int number) const {
    WriteTar(number, "pg_control.tar", Tar().Add("/global/pg_control", ControlFileOf(kPg15)));
    WriteTar(number, "backup_label.tar",
             Tar().Add("backup_label", LabelAt(fmt::format("0/{}000028", number + 1))));
  }
  // A backup with one file.
  void Write(int number, const std::string& content, const std::string& more_of_sentinel = "") {
    WriteSentinel(number, more_of_sentinel);
    WriteFiles(number,
               {"/", "/base", "/base/5", more_of_sentinel.empty() ? "/base/5/1" : "/base/5/1+"});
    WriteTar(number, "part_001.tar",
             Tar()
                 .Add("/", "", '5')
                 .Add("/base", "", '5')
                 .Add("/base/5", "", '5')
                 .Add("/base/5/1", content));
    WriteUtility(number);
  }
  Result<std::unique_ptr<BaseBackup>> Open(const std::string& label = "") const {
    BaseBackupOptions options;
    options.label = label;
    options.spool_directory = directory_.path();
    return OpenBaseBackup(storage_, options);
  }
  void ExpectCorrupt(const std::string& words) const {
    ErrorCode code{};
    const std::string error = ErrorOf(Open(), &code);
    EXPECT_EQ(code, ErrorCode::kCorrupt) << words;
    EXPECT_NE(error.find(words), std::string::npos) << error;
  }

  TempDirectory directory_;
  const std::string storage_ = directory_.path() + "/storage";
};

TEST_F(WalgTest, AFullBackup) {
  Write(1, "content");
  WriteTar(1, "part_002.tar", Tar().Add("/base/5/2", "of no file that is listed"));
  const auto backup = Open();
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_EQ((*backup)->kind(), "a WAL-G backup");
  const auto files = (*backup)->List();
  ASSERT_TRUE(files);
  EXPECT_EQ(files->files.size(), 3u);
  EXPECT_TRUE(files->directories.contains("base/5"));
  EXPECT_EQ(ReadBackwards(**backup, "base/5/1", 7), "content");
  EXPECT_EQ((*backup)->ReadWhole("base/5/1", 10), "content");
  ErrorCode code{};
  ErrorOf((*backup)->OpenFile("base/5/2"), &code);
  EXPECT_EQ(code, ErrorCode::kNotFound);
  EXPECT_TRUE((*backup)->Remarks().empty());
  EXPECT_EQ((*backup)->Label()->start.value, 0x2000028u);
}

// As by BASE_BACKUP through a connection: names without a slash, pg_control in both places.
TEST_F(WalgTest, WhatTheSmallArchivesHaveGoesFirst) {
  WriteSentinel(1, R"(,"FilesMetadataDisabled":true)");
  Tar tar;
  tar.Add("global/pg_control", "old").Add("backup_label", "old").Add("base/5/1", "content");
  WriteTar(1, "part_001.tar", tar);
  WriteUtility(1);
  const auto backup = Open();
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_EQ((*backup)->ControlFile()->version, &kPg15);
  EXPECT_TRUE((*backup)->Label());
  EXPECT_EQ((*backup)->List()->files.size(), 3u);
  WriteTar(1, "part_002.tar", Tar().Add("/backup_manifest", "of the backup before the restore"));
  EXPECT_EQ((*Open())->Manifest(), std::nullopt);
  WriteTar(1, "part_003.tar", Tar().Add("base/5/1", "again"));
  ExpectCorrupt("is there twice");
}

TEST_F(WalgTest, EachBlockComesFromTheNewestThatHasIt) {
  Write(1, Block('a') + Block('b') + Block('c') + Block('d') + "half");
  // It was cut to two blocks, and became longer after that.
  Write(2, Increment(2 * kBlockSize, {1}, 'B'), From(1));
  Write(3, Increment(6 * kBlockSize, {4, 7}, 'C'), From(2));
  const auto backup = Open();
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_EQ((*backup)->kind(), "a WAL-G delta backup that builds upon 2");
  const std::string expected = Block('a') + Block('B') + Block('\0') + Block('\0') + Block('C') +
                               Block('\0') + Block('\0') + Block('C');
  EXPECT_EQ((*backup)->List()->files.at("base/5/1").size, expected.size());
  EXPECT_TRUE(ReadBackwards(**backup, "base/5/1", expected.size()) == expected);
  // The numbers of blocks are read once for all who have the file open, and no descriptor is theirs.
  auto file = *(*backup)->OpenFile("base/5/1");
  EXPECT_EQ(*(*backup)->OpenFile("base/5/1"), file);
  EXPECT_EQ((*backup)->descriptors(), 0u);
  const std::weak_ptr<const BaseFile> closed = std::exchange(file, nullptr);
  EXPECT_TRUE(closed.expired());
  EXPECT_TRUE((*backup)->OpenFile("base/5/1"));
  // The labels say which one is meant; the newest is not the one that was written last.
  const auto second = Open(Name(2));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(ReadBackwards(**second, "base/5/1", 2 * kBlockSize) == Block('a') + Block('B'));
  Write(1, Block('a') + Block('b') + Block('c') + Block('d') + "half");
  EXPECT_EQ((*Open("latest"))->path(), Directory() + Name(3));
  EXPECT_EQ((*OpenBaseBackup(Directory() + Name(2), {}))->path(), Directory() + Name(2));
  EXPECT_EQ((*OpenBaseBackup(Directory(), {}))->path(), Directory() + Name(3));
  // An increment that has all blocks of a file without its end.
  Write(2, Increment(5 * kBlockSize, {}, 'B'), From(1));
  const std::string longer = Block('a') + Block('b') + Block('c') + Block('d') +
                             ("half" + std::string(kBlockSize - 4, '\0'));
  EXPECT_TRUE(ReadBackwards(**Open(Name(2)), "base/5/1", longer.size()) == longer);
}

TEST_F(WalgTest, AFileThatIsLeftOutIsThatOfTheBackupBefore) {
  Write(1, "content");
  WriteSentinel(2, From(1));
  WriteFiles(2, {"/base/5/1-", "/base/5/2", "/base/5/3-"});
  WriteTar(2, "part_001.tar", Tar().Add("/base/5/2", "new"));
  WriteUtility(2);
  WriteSentinel(3, From(2));
  WriteFiles(3, {"/base/5/1-", "/base/5/2-"});
  WriteTar(3, "part_001.tar", Tar().Add("/base/5", "", '5'));
  WriteUtility(3);
  const auto backup = Open();
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_EQ((*backup)->ReadWhole("base/5/1", 100), "content");
  EXPECT_EQ((*backup)->ReadWhole("base/5/2", 100), "new");
  EXPECT_EQ((*backup)->List()->files.size(), 4u);
  // What it lists and nobody has is not there, and is told.
  const auto second = Open(Name(2));
  ASSERT_TRUE(second);
  EXPECT_FALSE((*second)->List()->files.contains("base/5/3"));
  ASSERT_EQ((*second)->Remarks().size(), 1u);
  EXPECT_EQ((*second)->Remarks()[0],
            "the backup lists a file that its archives do not have: \"base/5/3\"");
  EXPECT_EQ((*second)->Lost(), std::vector<std::string>{"base/5/3"});
  RateLimit limit(1 << 30);
  EXPECT_EQ(LimitRate(**second, &limit)->Lost(), (*second)->Lost());
  EXPECT_TRUE((*backup)->Lost().empty());
}

TEST_F(WalgTest, Tablespaces) {
  Write(1, "content");
  const std::string version = kPg15.tablespace_directory;
  WriteSentinel(
      1, R"(,"FilesMetadataDisabled":true,"Spec":{"base_prefix":"/d","tablespaces":["16400"],)"
         R"("16400":{"loc":"/far","link":"x"},"16500":{"loc":"/lost","link":"x"}})");
  Tar tar;
  tar.Add("/pg_tblspc/16400/" + version, "", '5').Add("/pg_tblspc/16400/" + version + "/5/1", "x");
  tar.Add("/pg_tblspc/16400/PG_14_202107181", "", '5')
      .Add("/pg_tblspc/16400/PG_14_202107181/1", "y");
  tar.Add("/pg_tblspc/16600", "", '5');
  WriteTar(1, "part_002.tar", tar);
  const auto backup = Open();
  ASSERT_TRUE(backup) << backup.error().message;
  const auto files = (*backup)->List();
  EXPECT_EQ(files->tablespaces.at(16400).state, BaseTablespace::kThere);
  EXPECT_EQ(files->tablespaces.at(16400).target, "/far");
  EXPECT_EQ(files->tablespaces.at(16500).state, BaseTablespace::kBroken);
  EXPECT_EQ(files->tablespaces.at(16600).state, BaseTablespace::kNoVersion);
  EXPECT_TRUE(files->files.contains("pg_tblspc/16400/" + version + "/5/1"));
  EXPECT_FALSE(files->files.contains("pg_tblspc/16400/PG_14_202107181/1"));
  // What another version has lost there is no loss.
  WriteSentinel(1);
  WriteFiles(1, {"/pg_tblspc/16400/PG_14_202107181/2", "/pg_tblspc/16400/" + version + "/5/2"});
  EXPECT_EQ((*Open())->Lost(), std::vector<std::string>{"pg_tblspc/16400/" + version + "/5/2"});
}

TEST_F(WalgTest, IncrementsThatCannotBe) {
  Write(1, Block('a') + Block('b'));
  const std::string good = Increment(3 * kBlockSize, {0, 2}, 'B');
  std::string magic = good, number = good, order = good;
  magic[3] = 'x';
  number[16 + 7] = 'x';  // block 2 becomes one that no file has
  order.replace(16, 4, Raw(uint32_t{2}));
  struct Case {
    std::string increment;
    const char* words;
    uint32_t blocks;  // that it says the file has, if that can be read
  };
  const Case cases[] = {
      {good.substr(0, 10), "cut off at byte 10", 0},
      {magic, "does not begin with \"wi1\"", 0},
      {"wi2" + good.substr(3), "does not begin with \"wi1\"", 0},
      {number, "block number 2013265922 at byte 20 cannot stand there", 3},
      {order, "block number 2 at byte 20 cannot stand there", 3},
      {good.substr(0, good.size() - 1), "with its 2 blocks should have", 3},
      {good + "x", "with its 2 blocks should have", 3},
      {Increment(uint64_t{1} << 62, {0}, 'x'), "which none of a relation has", 0},
      {Increment(100, {0}, 'x'), "which none of a relation has", 0},
      {"wi1\x55" + Raw(uint64_t{8192}) + Raw(UINT32_MAX), "more than a file of a relation", 0},
      {"", "cut off at byte 0", 0}};
  for (const auto& [increment, words, blocks] : cases) {
    Write(2, increment, From(1));
    const auto backup = Open();
    ASSERT_TRUE(backup) << backup.error().message;
    // It stands in the list as other files do, so that all are read, and it is told then what is wrong with it.
    EXPECT_EQ((*backup)->List()->files.at("base/5/1"), (BaseFileInfo{blocks * kBlockSize, ""}))
        << words;
    ErrorCode code{};
    const std::string error = ErrorOf((*backup)->OpenFile("base/5/1"), &code);
    EXPECT_EQ(code, ErrorCode::kCorrupt);
    EXPECT_NE(error.find(words), std::string::npos) << error;
  }
  // Nothing is there that it builds upon.
  Write(2, good, From(1));
  WriteFiles(1, {"/base/5"});
  const auto backup = Open();
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_NE(ErrorOf((*backup)->OpenFile("base/5/1")).find("no older backup has the file"),
            std::string::npos);
  Write(1, good);
  WriteFiles(1, {"/base/5/1+"});
  EXPECT_NE(ErrorOf((*Open(Name(1)))->OpenFile("base/5/1")).find("no older backup has the file"),
            std::string::npos);
}

TEST_F(WalgTest, ChainsThatDoNotFit) {
  Write(1, Block('a'));
  const std::string increment = Increment(kBlockSize, {0}, 'B');
  Write(2, increment, From(1));
  ASSERT_TRUE(Open());
  WriteSentinel(2, fmt::format(R"(,"DeltaFrom":"{}","DeltaLSN":5)", Name(1)));
  ExpectCorrupt("does not build upon the \"" + Name(1));
  WriteSentinel(2, From(2));
  ExpectCorrupt("go round in a circle");
  WriteSentinel(2, R"(,"DeltaFrom":"base_7")");
  ExpectCorrupt("builds upon \"base_7\", which is not there or not complete");
  for (const char* from : {"base_1/../../x", "../base_1", "stream_1"}) {
    WriteSentinel(2, fmt::format(R"(,"DeltaFrom":"{}")", from));
    ExpectCorrupt("which is no backup");
  }
  WriteSentinel(1, R"(,"SystemIdentifier":7)");
  WriteSentinel(2, From(1) + R"(,"SystemIdentifier":8)");
  ExpectCorrupt("they are of different clusters");
  WriteSentinel(1);
  WriteSentinel(2, From(1) + R"(,"FilesMetadataDisabled":true)");
  ExpectCorrupt("has no files_metadata.json");
  std::filesystem::remove(Directory() + Name(1) + "_backup_stop_sentinel.json");
  WriteSentinel(2, From(1));
  ExpectCorrupt("its sentinel is missing");
}

TEST_F(WalgTest, SentinelsThatAreOfAnotherBackup) {
  Write(1, "content");
  const std::string sentinel = Directory() + Name(1) + "_backup_stop_sentinel.json";
  WriteText(sentinel, R"({"LSN":8,"PgVersion":150004})");
  ExpectCorrupt("backup_label says that it begins at 0/2000028");
  WriteSentinel(1, R"(,"SystemIdentifier":12345)");
  ExpectCorrupt("that is of system 12345");
  WriteText(sentinel, fmt::format(R"({{"LSN":{},"PgVersion":170001}})", Lsn(1)));
  ExpectCorrupt("that is of PostgreSQL 17, and pg_control of 15");
  for (const char* text :
       {"", "[]", "7", "{", R"({"LSN":"0/28"})", R"({"FinishLSN":7})", R"({"LSN":-1})",
        R"({"LSN":1,"DeltaFrom":7})", R"({"LSN":1,"PgVersion":99999999999})"}) {
    WriteText(sentinel, text);
    ExpectCorrupt("_backup_stop_sentinel.json\" is damaged");
  }
}

// Its archives are a restore's as those of the newest are.
TEST_F(WalgTest, SentinelsOfOlderBackupsToo) {
  Write(1, Block('a'));
  Write(2, Increment(kBlockSize, {0}, 'B'), From(1));
  WriteTar(1, "backup_label.tar", Tar().Add("backup_label", LabelAt("0/7000028")));
  ExpectCorrupt("sentinel of the backup \"" + Name(1) + "\" does not fit its archives");
  WriteUtility(1);
  ASSERT_TRUE(Open());
  WriteTar(1, "pg_control.tar", Tar().Add("/global/pg_control", ControlFileOf(kPg15, 7)));
  ExpectCorrupt("and that of a backup that builds upon it of");
  // What is damaged there, or missing, no restore of the newest needs.
  WriteTar(1, "pg_control.tar", Tar().Add("/global/pg_control", "x"));
  std::filesystem::remove(Archive(1, "backup_label.tar"));
  const auto backup = Open();
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_EQ((*backup)->ControlFile()->version, &kPg15);
}

// By events: neither what a user wrote there nor a hostile one grows to a tree in memory.
TEST_F(WalgTest, WhatASentinelSays) {
  const auto sentinel = ParseWalgSentinel(
      R"({"UserData":{"LSN":7,"PgVersion":8,"Spec":{"5":{"loc":"/x"}},"a":[{"LSN":9}]},"LSN":40,)"
      R"("FinishLSN":null,"DeltaFrom":null,"Files":{"PgVersion":{"loc":1}},"PgVersion":150004,)"
      R"("Spec":{"base_prefix":"/d","tablespaces":["16400"],"16400":{"loc":"/far","link":"l"},)"
      R"("16500":{"link":"l","more":{"loc":"/no"}},"x":{"loc":"/no"},"16600":[{"loc":"/no"}]}})",
      "x");
  ASSERT_TRUE(sentinel) << sentinel.error().message;
  EXPECT_EQ(sentinel->start.value, 40u);
  EXPECT_EQ(sentinel->pg_version, 150004u);
  EXPECT_EQ(sentinel->from, "");
  EXPECT_EQ(sentinel->tablespaces, (std::map<uint32_t, std::string>{{16400, "/far"}, {16500, ""}}));
  const std::pair<std::string, const char*> damaged[] = {
      {R"({"LSN":1,"UserData":)" + std::string(100, '[') + std::string(100, ']') + "}",
       "too many objects in each other"},
      {R"({"LSN":{}})", "LSN is no number"},
      {R"({"LSN":[]})", "LSN is no number"},
      {R"({"LSN":1,"Spec":{"16400":{"loc":7}}})", "loc is no text"},
      {R"({"LSN":1,"Spec":{"16400":{"loc":{}}}})", "loc is no text"},
      {R"([{"LSN":1}])", "it is no JSON object"}};
  for (const auto& [text, words] : damaged)
    EXPECT_NE(ErrorOf(ParseWalgSentinel(text, "x")).find(words), std::string::npos) << text;
}

TEST_F(WalgTest, MetadataThatCannotBe) {
  Write(1, "content");
  const std::string metadata = Directory() + Name(1) + "/files_metadata.json";
  for (const auto& [text, words] : std::initializer_list<std::pair<std::string, const char*>>{
           {"", "not JSON"},
           {"7", "no JSON object"},
           {R"({"Files":{"/base/../../x":{}}})", "outside the backup"},
           {R"({"Files":{"//etc/passwd":{}}})", "outside the backup"},
           {R"({"Files":{"/a":{"IsSkipped":true,"IsIncremented":true}}})", "both an increment"},
           {R"({"Files":{"/a":{},"/a":{}}})", "is there twice"},
           {R"({"Files":{"/a":{}})", "not JSON"},
           {std::string(1000, '[') + std::string(1000, ']'), "too many objects"}}) {
    WriteText(metadata, text);
    ExpectCorrupt(words);
  }
  // Fields of later versions, and those of other objects, mean nothing.
  const auto files = ParseWalgFiles(
      R"({"X":[{"IsSkipped":true}],"Files":{"/a":{"CorruptBlocks":{"IsSkipped":true,"Some":[1]}}},)"
      R"("Y":[{"IsSkipped":true}],"DatabasesByNames":{"a":{"oid":5,"IsSkipped":true}}})",
      "x");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(*files, (WalgFiles{{"a", WalgFileState::kWhole}}));
  // Its list is lost; or it is older than such lists.
  std::filesystem::remove(metadata);
  WriteSentinel(1, R"(,"Version":2)");
  ExpectCorrupt("files_metadata.json, without which WAL-G does not restore it, is missing");
  for (const char* version : {R"(,"Version":1)", R"(,"Version":null)", "",
                              R"(,"Version":2,"FilesMetadataDisabled":true)"}) {
    WriteSentinel(1, version);
    EXPECT_TRUE(Open()) << version;
  }
  const char* two = R"({"Files":{"/a":{},"/b":{}}})";
  EXPECT_TRUE(ParseWalgFiles(two, "x", 2));
  EXPECT_NE(ErrorOf(ParseWalgFiles(two, "x", 1)).find("it has more than 1 files"),
            std::string::npos);
}

TEST_F(WalgTest, ArchivesThatLeadOut) {
  Write(1, "content");
  for (const char* name : {"/../x", "//etc/passwd", "../x", "/base/../../x"}) {
    WriteTar(1, "part_002.tar", Tar().Add(name, "x"));
    ExpectCorrupt("would lie outside the backup");
  }
  Tar lying;
  lying.AddHeader("/base/5/2", 1'000'000);
  WriteText(Archive(1, "part_002.tar"), lying.Whole());
  ExpectCorrupt("Truncated input file");
  std::filesystem::remove_all(Directory() + Name(1) + "/tar_partitions");
  std::filesystem::create_directories(Directory() + Name(1) + "/tar_partitions");
  ExpectCorrupt("has no archives");
}

TEST_F(WalgTest, EncryptedOnes) {
  Write(1, "content");
  std::filesystem::remove_all(Directory() + Name(1) + "/tar_partitions");
  for (const char* suffix : {"", ".lz4", ".br", ".lzma", ".zst"}) {
    for (const char* name : {"part_001.tar", "pg_control.tar"})
      WriteText(Archive(1, std::string(name) + suffix), Noise(5000, 7));
    ErrorCode code{};
    EXPECT_NE(ErrorOf(Open(), &code).find("WALG_LIBSODIUM_KEY"), std::string::npos);
    EXPECT_EQ(code, ErrorCode::kUnsupported) << suffix;
    std::filesystem::remove_all(Directory() + Name(1) + "/tar_partitions");
  }
  WriteText(Archive(1, "part_001.tar.lzo"), "x");
  EXPECT_NE(ErrorOf(Open()).find("packed in a way that is not read"), std::string::npos);
}

TEST_F(WalgTest, WhichBackup) {
  Write(1, "content");
  ErrorCode code{};
  EXPECT_NE(ErrorOf(Open("base_7"), &code).find("has no complete backup \"base_7\""),
            std::string::npos);
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  BaseBackupOptions options;
  // Of the WAL's repository.
  options.stanza = "main";
  options.cipher_pass_file = "passphrase";
  EXPECT_TRUE(OpenBaseBackup(storage_, options));
  options = {};
  options.label = Name(2);
  EXPECT_NE(ErrorOf(OpenBaseBackup(Directory() + Name(1), options)).find("is a single backup"),
            std::string::npos);
  std::filesystem::remove(Directory() + Name(1) + "_backup_stop_sentinel.json");
  EXPECT_NE(ErrorOf(Open(), &code).find("has no complete WAL-G backup"), std::string::npos);
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace neon_redo

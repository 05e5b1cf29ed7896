// pgBackRest repositories: what is stored how, and what hostile ones may hold.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <nlohmann/json.hpp>

#include "cpp_core/archive/pgbackrest_info.h"
#include "cpp_core/backup/decrypt.h"
#include "cpp_core/backup/pgbackrest_block_map.h"
#include "cpp_core/backup/pgbackrest_manifest.h"
#include "cpp_core/backup/range_file.h"
#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/pgbackrest_files.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr const char* kFull = "20260101-000000F";
constexpr const char* kIncremental = "20260101-000000F_20260102-000000I";

// A manifest with these lines of files.
std::string Manifest(const std::string& label, const Section& files,
                     const std::string& packing = "none", std::vector<Section> more = {}) {
  std::vector<Section> sections{
      {"backup",
       {{"backup-archive-start", "\"000000010000000000000002\""},
        {"backup-label", "\"" + label + "\""},
        {"backup-lsn-start", "\"0/2000028\""},
        {"backup-lsn-stop", "\"0/2000100\""},
        {"backup-reference", fmt::format("\"{},{}\"", kFull, kIncremental)}}},
      {"backup:db", {{"db-system-id", "7"}}},
      {"backup:option", {{"option-compress-type", "\"" + packing + "\""}}},
      {"backup:target", {{"pg_tblspc/16384", "{\"path\":\"/far\",\"type\":\"link\"}"}}}};
  for (Section& section : more) {
    const auto same = std::find_if(sections.begin(), sections.end(),
                                   [&](const Section& s) { return s.first == section.first; });
    if (same == sections.end())
      sections.push_back(section);
    else
      same->second.insert(same->second.end(), section.second.begin(), section.second.end());
  }
  sections.push_back(files);
  sections.push_back({"target:path", {{"pg_data", "{}"}, {"pg_data/base", "{}"}}});
  return Info(sections);
}

std::pair<std::string, std::string> FileLine(const std::string& name, const std::string& content,
                                             const std::string& more = "") {
  return {name, fmt::format("{{\"checksum\":\"{}\",{}\"size\":{},\"timestamp\":1}}", Sha1(content),
                            more, content.size())};
}

TEST(PgBackRestInfo, LinesAndTheirChecksum) {
  const std::string whole = Info({{"a", {{"x", "1"}, {"k=\"y", "{\"z\":[true,\"=\"]}"}}}});
  std::vector<std::string> keys;
  const auto take = [&](std::string_view section, std::string_view key, const nlohmann::json&) {
    keys.push_back(fmt::format("{}/{}", section, key));
    return Status();
  };
  const auto parsed = ParsePgBackRestInfo(whole, "x", take);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(keys, (std::vector<std::string>{"backrest/backrest-format", "backrest/backrest-version",
                                            "a/x", "a/k=\"y"}));
  for (size_t at = 0; at + 1 < whole.size(); at++) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    // Empty lines mean nothing.
    if (whole[at] != '\n') {
      EXPECT_FALSE(ParsePgBackRestInfo(flipped, "x", take)) << "byte " << at;
    }
    EXPECT_FALSE(ParsePgBackRestInfo(whole.substr(0, at), "x", take)) << "cut to " << at;
  }
  std::string other = whole;
  other.replace(other.find("format=5"), 8, "format=6");
  EXPECT_EQ(ParsePgBackRestInfo(other, "x", take).error().code, ErrorCode::kUnsupported);
}

TEST(PgBackRestManifest, WhatPgBackRestWrites) {
  const std::string name = "pg_tblspc/16384/PG_15_202209061/5/1";
  const auto manifest = ParsePgBackRestManifest(
      Manifest(kIncremental,
               {"target:file",
                {FileLine("pg_data/base/1", "abc", "\"repo-size\":9,\"bni\":2,\"bno\":7,"),
                 {"pg_data/empty", "{\"size\":0,\"timestamp\":1}"},
                 FileLine(name, "x", fmt::format("\"reference\":\"{}\",", kFull))}},
               "lz4"),
      "x");
  ASSERT_TRUE(manifest) << manifest.error().message;
  const PgBackRestFile& first = manifest->files.at("base/1");
  EXPECT_EQ(first.stored_name, "pg_data/base/1");
  EXPECT_EQ(first.bundle, 2u);
  EXPECT_EQ(first.offset, 7u);
  EXPECT_EQ(first.stored_size, 9u);
  EXPECT_EQ(manifest->labels[first.reference], kIncremental);
  EXPECT_EQ(manifest->labels[manifest->files.at(name).reference], kFull);
  EXPECT_EQ(manifest->files.at("empty").sha1, "");
  EXPECT_EQ(manifest->packing, Packing::kLz4);
  EXPECT_EQ(manifest->tablespaces.at(16384), "/far");
  EXPECT_EQ(manifest->directories, (std::set<std::string>{"base"}));
  EXPECT_EQ(manifest->system_identifier, 7u);
  EXPECT_EQ(manifest->wal->end, Lsn(0x2000100));
}

TEST(PgBackRestManifest, HostileLines) {
  const auto error = [](const Section& files, const std::string& packing = "none",
                        const std::string& label = kFull, std::vector<Section> more = {}) {
    return ErrorOf(ParsePgBackRestManifest(Manifest(label, files, packing, std::move(more)), "x"));
  };
  const auto of_file = [&](const std::string& name, const std::string& json) {
    return error({"target:file", {{name, json}}});
  };
  const std::string sha1 = "\"checksum\":\"" + Sha1("") + "\",";
  EXPECT_EQ(of_file("pg_data/a", "{" + sha1 + "\"size\":1}"), "");
  for (const char* name : {"../a", "/a", "pg_data/../a", "pg_data/", "pg_data//a", "a", "pg_wal/a",
                           "pg_data/./a", "pg_tblspc/../a"})
    EXPECT_NE(of_file(name, "{" + sha1 + "\"size\":1}").find("outside"), std::string::npos) << name;
  for (const char* json :
       {"{}", "[]", "1", "{\"size\":1}", "{\"size\":-1}", "{\"size\":\"1\"}", "null"})
    EXPECT_NE(of_file("pg_data/a", json).find("corrupt"), std::string::npos) << json;
  for (const char* field :
       {"\"bim\":9,\"bi\":1,\"size\":9,\"repo-size\":8", "\"bim\":9,\"size\":9",
        "\"bim\":9,\"bi\":9000000000000000,\"size\":9", "\"bim\":9,\"bi\":1,\"bic\":17,\"size\":9",
        "\"bim\":9,\"bi\":1,\"bic\":0,\"size\":9", "\"bim\":9,\"bi\":1,\"bic\":1,\"size\":9",
        "\"bim\":9,\"bi\":1,\"bic\":5,\"size\":9", "\"bno\":18446744073709551615,\"size\":9",
        "\"size\":18446744073709551615", "\"repo-size\":18446744073709551615,\"size\":9"})
    EXPECT_NE(of_file("pg_data/a", "{" + sha1 + field + "}").find("cannot be"), std::string::npos)
        << field;
  for (const char* label : {"..", "../20260101-000000F", "20260101-000000F/..", "x"})
    EXPECT_NE(
        of_file("pg_data/a", fmt::format("{{{}\"reference\":\"{}\",\"size\":1}}", sha1, label))
            .find("is no label"),
        std::string::npos);
  EXPECT_NE(error({"target:file", {}}, "none", ".."), "");
  EXPECT_NE(error({"target:file", {}}, "xz").find("unsupported"), std::string::npos);
  EXPECT_NE(error({"target:file", {}}, "none", kFull, {{"target:path", {{"pg_data/../..", "{}"}}}}),
            "");
  EXPECT_NE(error({"target:file", {FileLine("pg_data/a", "x"), FileLine("pg_data/a", "x")}})
                .find("is there twice"),
            std::string::npos);
  EXPECT_TRUE(IsPgBackRestLabel(kFull));
  EXPECT_TRUE(IsPgBackRestLabel(kIncremental));
  for (const char* label : {"", "20260101-000000", "20260101-000000D", "20260101-000000Fx",
                            "20260101-000000F_20260102-000000F", "20260101-000000F_"})
    EXPECT_FALSE(IsPgBackRestLabel(label)) << label;
}

Result<std::string> Decrypted(const std::string& text, const std::string& passphrase, bool raw) {
  TempDirectory directory;
  WriteText(directory.path() + "/x", text);
  FileDescriptor fd(open((directory.path() + "/x").c_str(), O_RDONLY));
  const auto source =
      Decrypt(ReadRange(Share(std::move(fd)), 0, UINT64_MAX, "x"), passphrase, raw, "file \"x\"");
  return ReadRest(source.get(), 1 << 20, "x");
}

TEST(Decrypt, WhatOpensslEncrypts) {
  for (const size_t size : {0, 1, 15, 16, 17, 100'000}) {
    const std::string plain = Noise(size);
    for (const bool raw : {false, true}) {
      const std::string text = Encrypted(plain, "secret", raw);
      EXPECT_TRUE(Decrypted(text, "secret", raw) == plain) << size;
      EXPECT_FALSE(Decrypted(text.substr(0, text.size() - 1), "secret", raw));
      EXPECT_FALSE(Decrypted(text.substr(0, 7), "secret", raw));
      // One in 256 wrong passphrases ends in a padding that could be.
      const auto wrong = Decrypted(text, "Secret", raw);
      EXPECT_FALSE(wrong == plain);
    }
    const auto plain_text = Decrypted(plain + "0123456789012345678901234", "secret", false);
    EXPECT_EQ(plain_text.error().message, "could not decrypt file \"x\": it is not encrypted");
  }
}

// Writes maps as blockMapWrite does, for the shapes that the tests need.
class MapWriter {
 public:
  MapWriter& Number(uint64_t number) {
    while (number >= 0x80) {
      text_ += static_cast<char>(number | 0x80);
      number >>= 7;
    }
    text_ += static_cast<char>(number);
    return *this;
  }
  MapWriter& Checksums(const std::vector<std::string>& blocks) {
    for (const std::string& block : blocks) {
      XXH128_canonical_t canonical;
      XXH128_canonicalFromHash(&canonical, XXH3_128bits(block.data(), block.size()));
      text_.append(reinterpret_cast<const char*>(canonical.digest), 6);
    }
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

constexpr PgBackRestMapShape kShape{8192, 6, 8192 * 4 + 100, 2};

// Five blocks: 0 and 1 in a super block of the first backup, 2 in one of the second, 3 again in the first
// super block, and the last, of 100 bytes, in another one of the first.
std::string SomeMap(const std::vector<std::string>& blocks) {
  return MapWriter()
      .Number(0)
      .Number(0 << 3 | 4)  // the first backup, at an offset
      .Number(1000)        // which is this
      .Number(500 << 3 | 2 | 4 |
              1)       // its super block has 500 bytes; another size; some blocks; last
      .Number(3 << 1)  // of three blocks
      .Number(1 << 1)  // two of them
      .Checksums({blocks[0], blocks[1]})
      .Number(1 << 3 | 2)  // the second backup, in a bundle, at 0
      .Number(7)
      .Number(((500 - 100) * 2 - 1) << 3 | 1)  // 100 bytes, 400 less; the last of this reference
      .Checksums({blocks[2]})
      .Number(0 << 3 | 2 | 1)  // the first again, and that super block; the last reference
      .Number(0 << 1)          // its next block
      .Checksums({blocks[3]})
      .Number(((500 - 60) * 2 - 1) << 3 | 2 | 1)  // then one of 60 bytes
      .Number(0 << 1 | 1)                         // of less than a block:
      .Number(100)
      .Checksums({blocks[4]})
      .text();
}

std::vector<std::string> SomeBlocks() {
  std::vector<std::string> blocks;
  for (uint32_t i = 0; i < 5; i++) blocks.push_back(Noise(i < 4 ? 8192 : 100, i + 1));
  return blocks;
}

TEST(PgBackRestBlockMap, WhereBlocksAre) {
  const std::string map = SomeMap(SomeBlocks());
  const auto parsed = ParsePgBackRestBlockMap(AsBytes(map), kShape, "file \"x\"");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 5u);
  const struct {
    uint32_t reference, number;
    uint64_t bundle, offset, stored, size;
  } expected[] = {{0, 0, 0, 1000, 500, 3 * 8192},
                  {0, 1, 0, 1000, 500, 3 * 8192},
                  {1, 0, 7, 0, 100, 8192},
                  {0, 2, 0, 1000, 500, 3 * 8192},
                  {0, 0, 0, 1500, 60, 100}};
  for (size_t i = 0; i < 5; i++) {
    const PgBackRestBlock& block = (*parsed)[i];
    EXPECT_EQ(block.reference, expected[i].reference) << i;
    EXPECT_EQ(block.number, expected[i].number) << i;
    EXPECT_EQ(block.bundle, expected[i].bundle) << i;
    EXPECT_EQ(block.offset, expected[i].offset) << i;
    EXPECT_EQ(block.stored_size, expected[i].stored) << i;
    EXPECT_EQ(block.super_block_size, expected[i].size) << i;
  }
}

TEST(PgBackRestBlockMap, DamagedMaps) {
  const std::string map = SomeMap(SomeBlocks());
  for (size_t size = 0; size < map.size(); size++)
    EXPECT_FALSE(ParsePgBackRestBlockMap(AsBytes(map.substr(0, size)), kShape, "x")) << size;
  EXPECT_FALSE(ParsePgBackRestBlockMap(AsBytes(map + "x"), kShape, "x"));
  std::minstd_rand random(1);
  for (int i = 0; i < 20'000; i++) {
    std::string changed = map;
    for (int flips = 0; flips < 3; flips++)
      changed[random() % changed.size()] = static_cast<char>(random() % 3 ? random() : 255);
    const auto parsed = ParsePgBackRestBlockMap(AsBytes(changed), kShape, "x");
    if (!parsed) {
      EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
      continue;
    }
    ASSERT_EQ(parsed->size(), 5u);
    for (const PgBackRestBlock& block : *parsed) {
      EXPECT_LT(block.reference, kShape.references);
      EXPECT_LE(block.super_block_size, 64u << 20);
    }
  }
}

class PgBackRestTest : public testing::Test {
 protected:
  void WriteManifest(const std::string& label, const std::string& text) {
    WriteText(stanza_ + "/" + label + "/backup.manifest", text);
    WriteText(stanza_ + "/" + label + "/backup.manifest.copy", text);
    Section current{"backup:current", {}};
    for (const char* known : {kFull, kIncremental})
      if (std::filesystem::exists(stanza_ + "/" + known)) current.second.emplace_back(known, "{}");
    WriteText(stanza_ + "/backup.info", Info({current}));
    std::filesystem::create_directories(repository_ + "/archive/main");
  }
  Result<std::unique_ptr<BaseBackup>> Open(const std::string& path, const std::string& label = "",
                                           const std::string& pass_file = "") const {
    BaseBackupOptions options;
    options.label = label;
    options.cipher_pass_file = pass_file;
    options.spool_directory = directory_.path();
    return OpenBaseBackup(path, options);
  }

  TempDirectory directory_;
  const std::string repository_ = directory_.path() + "/repository";
  const std::string stanza_ = repository_ + "/backup/main";
};

TEST_F(PgBackRestTest, EachPackingInABundleAndNot) {
  const std::string content = Noise(50'000);
  const std::pair<const char*, Packing> packings[] = {{"none", Packing::kNone},
                                                      {"gz", Packing::kGzip},
                                                      {"lz4", Packing::kLz4},
                                                      {"zst", Packing::kZstd},
                                                      {"bz2", Packing::kBzip2}};
  for (const auto& [name, packing] : packings) {
    for (const bool raw : {false, true}) {
      std::filesystem::remove_all(stanza_);
      const Packing in_bundle = raw && packing == Packing::kGzip ? Packing::kZlib : packing;
      const std::string alone = Packed(content, packing), bundled = Packed(content, in_bundle);
      WriteText(stanza_ + "/" + kFull + "/pg_data/base/1" + PackingSuffix(packing), alone);
      WriteText(stanza_ + "/" + kFull + "/bundle/3", "before" + bundled + "after");
      const auto stored = [](size_t size, const char* more) {
        return fmt::format("{}\"repo-size\":{},", more, size);
      };
      WriteManifest(kFull,
                    Manifest(kFull,
                             {"target:file",
                              {FileLine("pg_data/base/1", content, stored(alone.size(), "")),
                               FileLine("pg_data/base/2", content,
                                        stored(bundled.size(), "\"bni\":3,\"bno\":6,"))}},
                             name, {{"backup", {{"backup-bundle-raw", raw ? "true" : "false"}}}}));
      const auto backup = Open(repository_);
      ASSERT_TRUE(backup) << backup.error().message;
      for (const char* file : {"base/1", "base/2", "base/1"}) {
        EXPECT_TRUE(ReadBackwards(**backup, file, content.size()) == content) << name << file;
        EXPECT_TRUE((*backup)->ReadWhole(file, 1 << 20) == content) << name << file;
      }
      // Each file is unpacked once.
      EXPECT_EQ((*backup)->spooled(), packing == Packing::kNone ? 0 : 2 * content.size());
      EXPECT_EQ((*backup)->Manifest()->value().files.size(), 2u);
    }
  }
}

TEST_F(PgBackRestTest, DamagedFiles) {
  const std::string content = Noise(50'000), packed = Packed(content, Packing::kZstd);
  const std::string stored = stanza_ + "/" + kFull + "/pg_data/base/1.zst";
  const auto damage = [&](const std::string& bytes, const std::string& claimed,
                          uint64_t stored_size) {
    WriteText(stored, bytes);
    WriteManifest(kFull, Manifest(kFull,
                                  {"target:file",
                                   {FileLine("pg_data/base/1", claimed,
                                             fmt::format("\"repo-size\":{},", stored_size))}},
                                  "zst"));
    const auto backup = Open(repository_);
    EXPECT_TRUE(backup) << backup.error().message;
    const std::string by_stream = ErrorOf((*backup)->ReadWhole("base/1", 1 << 20));
    const std::string by_file = ErrorOf((*backup)->OpenFile("base/1"));
    // Who opens a damaged file again does not have it unpacked again.
    const uint64_t spooled = (*backup)->spooled();
    const bool is_cut =
        by_file.find("is cut off at byte") != std::string::npos;  // none of it is read
    EXPECT_EQ(spooled, is_cut ? 0 : claimed.size());
    EXPECT_EQ(ErrorOf((*backup)->OpenFile("base/1")), by_file);
    EXPECT_EQ((*backup)->spooled(), spooled);
    return std::pair(by_file, by_stream);
  };
  const auto whole = damage(packed, content, packed.size());
  EXPECT_EQ(whole.first, "");
  EXPECT_EQ(whole.second, "");
  // Cut off; other bytes; of another size; a bomb.
  const std::string other = Packed(Noise(50'000, 2), Packing::kZstd);
  const std::string bomb = Packed(std::string(100 << 20, '\0'), Packing::kZstd);
  for (const auto& [bytes, claimed, size] :
       {std::tuple(packed.substr(0, 100), content, packed.size()),
        std::tuple(packed, content, packed.size() - 1),
        std::tuple(packed, content + "x", packed.size()),
        std::tuple(packed, content.substr(1), packed.size()),
        std::tuple(bomb, content, bomb.size())}) {
    const auto [opened, streamed] = damage(bytes, claimed, size);
    EXPECT_NE(opened.find("corrupt: "), std::string::npos) << opened;
    EXPECT_NE(opened.find("base/1.zst"), std::string::npos) << opened;
    EXPECT_NE(streamed.find("corrupt: "), std::string::npos) << streamed;
  }
  EXPECT_NE(damage(other, content, other.size()).first.find("its SHA-1 is not the manifest's"),
            std::string::npos);
  std::filesystem::remove(stored);
  ErrorCode code{};
  ErrorOf((*Open(repository_))->OpenFile("base/1"), &code);
  EXPECT_EQ(code, ErrorCode::kNotFound);
  std::filesystem::create_symlink("/etc/passwd", stored);
  ErrorOf((*Open(repository_))->OpenFile("base/1"), &code);
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
}

TEST_F(PgBackRestTest, ManifestsAndTheirCopies) {
  const std::string content = "abc";
  WriteText(stanza_ + "/" + kFull + "/pg_data/PG_VERSION", content);
  const std::string manifest =
      Manifest(kFull, {"target:file", {FileLine("pg_data/PG_VERSION", content)}});
  WriteManifest(kFull, manifest);
  const std::string path = stanza_ + "/" + kFull;
  EXPECT_TRUE((*Open(path))->Remarks().empty());
  EXPECT_EQ((*Open(path + "/"))->path(), path);
  std::filesystem::create_symlink(kFull, stanza_ + "/latest");
  EXPECT_EQ((*Open(stanza_ + "/latest"))->path(), path);
  std::string flipped = manifest;
  flipped[manifest.find("PG_VERSION")] = 'p';
  WriteText(path + "/backup.manifest", flipped);
  auto backup = Open(path);
  ASSERT_TRUE(backup) << backup.error().message;
  ASSERT_EQ((*backup)->Remarks().size(), 1u);
  EXPECT_NE((*backup)->Remarks()[0].find("checksum does not fit its content; its copy was read"),
            std::string::npos);
  std::filesystem::remove(path + "/backup.manifest");
  EXPECT_EQ((*Open(path))->Remarks().size(), 1u);
  WriteText(path + "/backup.manifest.copy", flipped);
  EXPECT_FALSE(Open(path));
  // Of one that could not be looked at, nobody knows whether it is damaged.
  std::filesystem::remove(path + "/backup.manifest");
  WriteText(path + "/backup.manifest.copy", manifest);
  EXPECT_TRUE(Open(path));
  std::filesystem::create_symlink("backup.manifest.copy", path + "/backup.manifest");
  ErrorCode code{};
  EXPECT_NE(ErrorOf(Open(path), &code).find("symbolic link"), std::string::npos);
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  std::filesystem::remove(path + "/backup.manifest");
  // Of another backup.
  WriteManifest(kIncremental, manifest);
  EXPECT_NE(ErrorOf(Open(repository_)).find("is the manifest of 20260101-000000F, and not"),
            std::string::npos);
  for (const char* label : {"20270101-000000F", "..", "main/..", "x"})
    EXPECT_FALSE(Open(repository_, label)) << label;
}

TEST_F(PgBackRestTest, Stanzas) {
  const std::string manifest = Manifest(kFull, {"target:file", {}});
  WriteManifest(kFull, manifest);
  BaseBackupOptions options;
  options.stanza = "main";
  EXPECT_TRUE(OpenBaseBackup(repository_, options));
  for (const char* stanza : {"other", "..", "../backup/main", "/"}) {
    options.stanza = stanza;
    EXPECT_NE(ErrorOf(OpenBaseBackup(repository_, options)).find("has no stanza"),
              std::string::npos);
  }
  WriteText(repository_ + "/backup/other/backup.info", Info({{"backup:current", {}}}));
  EXPECT_NE(ErrorOf(Open(repository_)).find("several stanzas; name one of them: main, other"),
            std::string::npos);
  EXPECT_NE(ErrorOf(Open(repository_ + "/backup/other")).find("has no backup"), std::string::npos);
}

TEST_F(PgBackRestTest, BlockIncrementalFiles) {
  const std::vector<std::string> blocks = SomeBlocks();
  std::string content;
  for (const std::string& block : blocks) content += block;
  for (const bool encrypted : {false, true}) {
    const std::string pass = encrypted ? "inner" : "";
    const auto stored = [&](const std::string& plain, bool packs = true) {
      const std::string packed = packs ? Packed(plain, Packing::kZlib) : plain;
      return encrypted ? Encrypted(packed, pass, true) : packed;
    };
    const std::string first = stored(blocks[0] + blocks[1] + blocks[3]), second = stored(blocks[2]);
    const std::string third = stored(blocks[4]);
    const auto zigzag = [](size_t size, size_t before) {
      return size >= before ? (size - before) * 2 : (before - size) * 2 - 1;
    };
    const std::string map = stored(MapWriter()
                                       .Number(0)
                                       .Number(0)
                                       .Number(first.size() << 3 | 2 | 4 | 1)
                                       .Number(3 << 1)
                                       .Number(1 << 1)
                                       .Checksums({blocks[0], blocks[1]})
                                       .Number(1 << 3 | 2)
                                       .Number(7)
                                       .Number(zigzag(second.size(), first.size()) << 3 | 1)
                                       .Checksums({blocks[2]})
                                       .Number(0 << 3 | 2 | 1)
                                       .Number(0)
                                       .Checksums({blocks[3]})
                                       .Number(zigzag(third.size(), first.size()) << 3 | 2 | 1)
                                       .Number(1)
                                       .Number(100)
                                       .Checksums({blocks[4]})
                                       .text(),
                                   false);
    WriteText(stanza_ + "/" + kFull + "/pg_data/base/1.pgbi", first + third);
    WriteText(stanza_ + "/" + kIncremental + "/bundle/7", second + map);
    const std::string manifest =
        Manifest(kIncremental,
                 {"target:file",
                  {FileLine("pg_data/base/1", content,
                            fmt::format("\"bi\":1,\"bim\":{},\"bni\":7,\"repo-size\":{},",
                                        map.size(), second.size() + map.size()))}},
                 "gz",
                 encrypted ? std::vector<Section>{{"cipher", {{"cipher-pass", "\"inner\""}}}}
                           : std::vector<Section>());
    WriteManifest(kIncremental, manifest);
    std::string pass_file;
    if (encrypted) {
      for (const char* name : {"/backup.manifest", "/backup.manifest.copy"})
        WriteText(stanza_ + "/" + kIncremental + name, Encrypted(manifest, "middle", false));
      WriteText(stanza_ + "/backup.info",
                Encrypted(Info({{"backup:current", {{kIncremental, "{}"}}},
                                {"cipher", {{"cipher-pass", "\"middle\""}}}}),
                          "outer", false));
      EXPECT_NE(ErrorOf(Open(repository_)).find("is encrypted: name the file"), std::string::npos);
      pass_file = directory_.path() + "/pass";
      WriteText(pass_file, "outer\n");
      EXPECT_FALSE(Open(repository_, "", pass_file));  // others may read it
      std::filesystem::permissions(pass_file, std::filesystem::perms(0600));
    }
    const auto backup = Open(repository_, "", pass_file);
    ASSERT_TRUE(backup) << backup.error().message;
    for (const size_t piece : {777, 5000, 100'000})
      EXPECT_TRUE(ReadBackwards(**backup, "base/1", content.size(), piece) == content) << piece;
    EXPECT_TRUE((*backup)->ReadWhole("base/1", 1 << 20) == content);
    EXPECT_EQ((*backup)->spooled(), 0u);
    // A super block that is another, cut off, or gone.
    const std::string path = stanza_ + "/" + kFull + "/pg_data/base/1.pgbi";
    WriteText(path, stored(blocks[0] + blocks[1] + blocks[2]).substr(0, first.size()) + third);
    EXPECT_NE(ErrorOf((*backup)->ReadWhole("base/1", 1 << 20)).find("corrupt: "),
              std::string::npos);
    WriteText(path, first.substr(0, 20));
    EXPECT_NE(ErrorOf((*backup)->ReadWhole("base/1", 1 << 20)).find("is cut off at byte 20"),
              std::string::npos);
    std::filesystem::remove(path);
    EXPECT_NE(ErrorOf((*backup)->ReadWhole("base/1", 1 << 20)).find("not_found: "),
              std::string::npos);
  }
}

}  // namespace
}  // namespace neon_redo

// WAL in pgBackRest repositories: several stanzas, and encrypted archives.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "cpp_core/archive/segment_file.h"
#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/archive/wal_set.h"
#include "tests/unit/packed.h"
#include "tests/unit/pgbackrest_files.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

class WalRepositoryTest : public testing::Test {
 protected:
  WalRepositoryTest() {
    while (wal_.position() < uint64_t{6} << 20) wal_.Append(10, 0, 5000);
    wal_.wal().resize(3 << 20);
    Write("passphrase", "repository's\n");
    chmod(Path("passphrase").c_str(), 0600);
  }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  void Write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }
  static std::string ArchiveInfo(bool encrypted) {
    const std::string text = Info({{"cipher", {{"cipher-pass", "\"archive's\""}}},
                                   {"db", {{"db-id", "1"}, {"db-version", "\"15\""}}}});
    return encrypted ? Encrypted(text, "repository's", false) : text;
  }
  // Segments in each way, one after another.
  void WriteStanza(const std::string& stanza, bool encrypted) const {
    const std::string archive = "repo/archive/" + stanza;
    Write(archive + "/archive.info", ArchiveInfo(encrypted));
    constexpr std::pair<Packing, const char*> kWays[] = {
        {Packing::kNone, ""}, {Packing::kGzip, ".gz"}, {Packing::kZstd, ".zst"}};
    for (size_t i = 0; i < std::size(kWays); i++) {
      const std::string content = wal_.wal().substr(i << 20, 1 << 20);
      const std::string packed = Packed(content, kWays[i].first);
      const std::string name = wal_.SegmentFile(i);
      Write(fmt::format("{}/15-1/{}/{}-{}{}", archive, name.substr(0, 16), name, Sha1(content),
                        kWays[i].second),
            encrypted ? Encrypted(packed, "archive's", false) : packed);
    }
  }
  WalSources Sources(const std::string& path, const std::string& stanza = "") const {
    return {.directories = {Path(path)},
            .stanza = stanza,
            .cipher_pass_file = encrypted_ ? Path("passphrase") : ""};
  }
  // The records, or the error.
  std::string Read(const WalSources& sources) const {
    WalReaderOptions options;
    options.directories = sources.directories;
    options.stanza = sources.stanza;
    options.cipher_pass_file = sources.cipher_pass_file;
    const struct ReadAll read(options);  // a function has that name, too
    if (read.error) return read.error->message;
    size_t whole = 0;
    for (const auto& record : wal_.written()) whole += record.end.value <= uint64_t{6} << 20;
    EXPECT_GE(read.records.size() + 1, whole);
    return "";
  }

  TempDirectory directory_;
  WalWriter wal_{1 << 20, 3};
  bool encrypted_ = false;
};

TEST_F(WalRepositoryTest, ARepositoryWithOneStanza) {
  WriteStanza("main", false);
  std::filesystem::create_directories(Path("repo/backup/main"));
  for (const char* path : {"repo", "repo/archive", "repo/archive/main", "repo/archive/main/15-1"})
    EXPECT_EQ(Read(Sources(path)), "") << path;
  EXPECT_EQ(Read(Sources("repo", "main")), "");
  EXPECT_EQ(Read(Sources("repo", "other")),
            fmt::format("\"{}\" has no stanza \"other\", but these: main", Path("repo/archive")));
}

TEST_F(WalRepositoryTest, OneOfSeveralStanzasIsNamed) {
  WriteStanza("main", false);
  WriteStanza("another", false);
  EXPECT_EQ(Read(Sources("repo")),
            fmt::format("\"{}\" has several stanzas; name one of them: another, main",
                        Path("repo/archive")));
  EXPECT_EQ(Read(Sources("repo", "main")), "");
  EXPECT_EQ(Read(Sources("repo/archive", "another")), "");
  EXPECT_EQ(Read(Sources("repo/archive/main")), "");
}

TEST_F(WalRepositoryTest, EncryptedSegmentsAreRead) {
  WriteStanza("main", true);
  EXPECT_NE(
      Read(Sources("repo")).find("it is encrypted: name the file with the repository's passphrase"),
      std::string::npos)
      << Read(Sources("repo"));
  encrypted_ = true;
  for (const char* path : {"repo", "repo/archive/main", "repo/archive/main/15-1"})
    EXPECT_EQ(Read(Sources(path)), "") << path;
  // A directory that is not encrypted does not mind.
  WriteStanza("plain", false);
  EXPECT_EQ(Read(Sources("repo", "plain")), "");
  // By its copy.
  std::filesystem::rename(Path("repo/archive/main/archive.info"),
                          Path("repo/archive/main/archive.info.copy"));
  EXPECT_EQ(Read(Sources("repo", "main")), "");
}

TEST_F(WalRepositoryTest, WhatCannotBeDecryptedIsNamed) {
  WriteStanza("main", true);
  encrypted_ = true;
  Write("passphrase", "another\n");
  const std::string info = Path("repo/archive/main/archive.info");
  EXPECT_NE(Read(Sources("repo")).find(info), std::string::npos) << Read(Sources("repo"));
  Write("passphrase", "\n");
  EXPECT_EQ(Read(Sources("repo")),
            fmt::format("cipher pass file \"{}\" is empty", Path("passphrase")));
  chmod(Path("passphrase").c_str(), 0644);
  EXPECT_NE(Read(Sources("repo")).find(Path("passphrase")), std::string::npos);
  chmod(Path("passphrase").c_str(), 0600);
  Write("passphrase", "repository's");
  Write("repo/archive/main/archive.info", ArchiveInfo(true).substr(0, 100));
  EXPECT_NE(Read(Sources("repo")).find(info), std::string::npos);
  std::filesystem::remove(info);
  const std::string error = Read(Sources("repo/archive/main/15-1"));
  EXPECT_NE(error.find(info + "\": No such file"), std::string::npos) << error;
}

// Each byte of a segment is covered by the checksum in its name; where it is not read to its end, by the
// records' own.
TEST_F(WalRepositoryTest, DamageOfAnEncryptedSegmentIsFound) {
  WriteStanza("main", true);
  encrypted_ = true;
  for (size_t i = 0; i < 3; i++) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(Path("repo/archive/main/15-1"))) {
      const std::string path = entry.path();
      if (!entry.is_regular_file() || path.find(wal_.SegmentFile(i) + "-") == path.npos) continue;
      std::ifstream in(path, std::ios::binary);
      const std::string whole(std::istreambuf_iterator<char>(in), {});
      for (const size_t at : {size_t{20}, whole.size() / 2, whole.size() - 1}) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
        std::ofstream(path, std::ios::binary) << flipped;
        EXPECT_NE(Read(Sources("repo")), "") << path << " " << at;
      }
      std::ofstream(path, std::ios::binary) << whole.substr(0, whole.size() / 2);
      EXPECT_NE(Read(Sources("repo")), "") << path;
      std::ofstream(path, std::ios::binary) << whole;
    }
  }
  EXPECT_EQ(Read(Sources("repo")), "");
}

TEST_F(WalRepositoryTest, EncryptedHistoryFiles) {
  WriteStanza("main", true);
  const std::string history = "1\t0/500000\tno reason\n";
  for (const Packing packing : {Packing::kNone, Packing::kGzip}) {
    Write("repo/archive/main/15-1/00000002.history",
          Encrypted(Packed(history, packing), "archive's", false));
    encrypted_ = true;
    const auto set = WalSet::Open(Sources("repo"));
    ASSERT_TRUE(set) << set.error().message;
    const auto read = set->ReadHistory(2);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, history);
    const auto forks = set->ReadForks(2);
    ASSERT_TRUE(forks && *forks);
    EXPECT_EQ((**forks)[0].end, Lsn(0x500000));
    encrypted_ = false;
    const auto closed = WalSet::Open(Sources("repo"));
    EXPECT_FALSE(closed && closed->ReadHistory(2));
  }
}

// Look, of what is there now.
TEST_F(WalRepositoryTest, LookKnowsThePassphrase) {
  WriteStanza("main", true);
  encrypted_ = true;
  const auto set = WalSet::Open(Sources("repo"));
  ASSERT_TRUE(set) << set.error().message;
  for (uint64_t number = 3; number < 6; number++) {
    const auto found = set->Look(1, number);
    ASSERT_TRUE(found && *found);
    ASSERT_TRUE((*found)->cipher_pass);
    EXPECT_EQ(*(*found)->cipher_pass, "archive's");
    EXPECT_FALSE((*found)->sha1.empty());
    const auto unpacked = UnpackSegment(**found, 1 << 20, directory_.path(), nullptr);
    ASSERT_TRUE(unpacked) << unpacked.error().message;
    std::string content(1 << 20, '\0');
    EXPECT_EQ(pread(unpacked->fd.get(), content.data(), content.size(), 0), 1 << 20);
    EXPECT_TRUE(content == wal_.wal().substr((number - 3) << 20, 1 << 20)) << number;
  }
  const auto none = set->Look(1, 6);
  EXPECT_TRUE(none && !*none);
}

}  // namespace
}  // namespace neon_redo

// backup_manifest: what PostgreSQL writes, and what nobody should.
#include "cpp_core/backup/manifest.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace neon_redo {
namespace {

std::string Hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return out;
}

std::string ChecksumOf(ChecksumKind kind, const std::string& text, size_t piece = SIZE_MAX) {
  auto checksum = FileChecksum::Make(kind);
  EXPECT_TRUE(checksum);
  for (size_t at = 0; at < text.size(); at += std::min(piece, text.size() - at))
    EXPECT_TRUE(checksum->Add(Bytes(reinterpret_cast<const uint8_t*>(text.data()) + at,
                                    std::min(piece, text.size() - at))));
  auto done = checksum->Finish();
  EXPECT_TRUE(done);
  return Hex(*done);
}

// With the last line that fits.
std::string Sealed(const std::string& text) {
  return text + "\"Manifest-Checksum\": \"" + ChecksumOf(ChecksumKind::kSha256, text) + "\"}\n";
}

// A manifest with these files; `more` stands between the version and the files.
std::string WithFiles(const std::string& files, int version = 1, const std::string& more = "") {
  return Sealed(
      fmt::format("{{ \"PostgreSQL-Backup-Manifest-Version\": {},\n{}\"Files\": [\n{}],\n"
                  "\"WAL-Ranges\": [\n{{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", "
                  "\"End-LSN\": \"0/2000100\" }}\n],\n",
                  version, more, files));
}

std::string ErrorOf(const std::string& text) {
  const auto manifest = ParseBackupManifest(text);
  if (manifest) return "";
  EXPECT_EQ(manifest.error().code, ErrorCode::kCorrupt);
  return manifest.error().message;
}

constexpr const char* kFile =
    "{ \"Path\": \"PG_VERSION\", \"Size\": 3, \"Last-Modified\": \"2026-11-27 00:00:00 GMT\", "
    "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"64440205\" }\n";

TEST(FileChecksum, EveryKind) {
  // The last four are the standard's own examples (FIPS 180-2); CRC-32C's bytes are those of a
  // little-endian number.
  const std::string abc = "abc";
  EXPECT_EQ(ChecksumOf(ChecksumKind::kNone, abc), "");
  EXPECT_EQ(ChecksumOf(ChecksumKind::kCrc32c, "123456789"), "839206e3");
  EXPECT_EQ(ChecksumOf(ChecksumKind::kSha224, abc),
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7");
  EXPECT_EQ(ChecksumOf(ChecksumKind::kSha256, abc),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(
      ChecksumOf(ChecksumKind::kSha384, abc),
      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca1"
      "34c825a7");
  EXPECT_EQ(
      ChecksumOf(ChecksumKind::kSha512, abc),
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23"
      "a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  const std::string longer(100'000, 'x');
  for (const auto kind : {ChecksumKind::kCrc32c, ChecksumKind::kSha224, ChecksumKind::kSha512})
    EXPECT_EQ(ChecksumOf(kind, longer), ChecksumOf(kind, longer, 777));
}

TEST(FileChecksum, Names) {
  EXPECT_EQ(ParseChecksumKind("SHA256"), ChecksumKind::kSha256);
  EXPECT_EQ(ParseChecksumKind("crc32c"), ChecksumKind::kCrc32c);
  EXPECT_EQ(ParseChecksumKind("none"), ChecksumKind::kNone);
  EXPECT_FALSE(ParseChecksumKind("MD5"));
  EXPECT_FALSE(ParseChecksumKind(""));
  EXPECT_FALSE(ParseChecksumKind(std::string_view("SHA256\0x", 8)));
}

TEST(BackupManifest, WhatPostgresWrites) {
  const auto manifest = ParseBackupManifest(WithFiles(
      std::string(kFile) + ",{ \"Encoded-Path\": \"62617365ff\", \"Size\": 0 },\n" +
      "{ \"Path\": \"a\\u00e9\", \"Size\": 18446744073709551615, \"Checksum-Algorithm\": \"NONE\", "
      "\"Checksum\": \"\" }\n"));
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->version, 1);
  EXPECT_FALSE(manifest->system_identifier);
  ASSERT_EQ(manifest->files.size(), 3u);
  EXPECT_EQ(manifest->files[0].path, "PG_VERSION");
  EXPECT_EQ(manifest->files[0].kind, ChecksumKind::kCrc32c);
  EXPECT_EQ(Hex(manifest->files[0].checksum), "64440205");
  EXPECT_EQ(manifest->Find("base\xff")->kind, ChecksumKind::kNone);
  EXPECT_EQ(manifest->Find("a\xc3\xa9")->size, UINT64_MAX);
  EXPECT_EQ(manifest->Find("base"), nullptr);
  ASSERT_EQ(manifest->wal_ranges.size(), 1u);
  EXPECT_EQ(manifest->wal_ranges[0].end, Lsn(0x2000100));
  const auto second = ParseBackupManifest(WithFiles("", 2, "\"System-Identifier\": 7,\n"));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->system_identifier, 7u);
}

TEST(BackupManifest, OwnChecksum) {
  const std::string whole = WithFiles(kFile);
  EXPECT_EQ(ErrorOf(whole), "");
  for (size_t at = 0; at < whole.size(); at++) {
    std::string flipped = whole;
    flipped[at] ^= 1;
    EXPECT_NE(ErrorOf(flipped), "") << "byte " << at;
    EXPECT_NE(ErrorOf(whole.substr(0, at)), "") << "cut to " << at;
  }
}

TEST(BackupManifest, PathsThatLeaveTheDirectory) {
  for (const char* path : {"../x", "/etc/passwd", "base/../../x", "base//1", "", ".", "base/.",
                           "base/", "a\\u0000b"}) {
    const auto text = WithFiles(fmt::format("{{ \"Path\": \"{}\", \"Size\": 3 }}\n", path));
    EXPECT_NE(ErrorOf(text).find("leaves the backup's directory"), std::string::npos) << path;
  }
  EXPECT_NE(ErrorOf(WithFiles("{ \"Encoded-Path\": \"2e2e2f78\", \"Size\": 3 }\n")), "");
  EXPECT_TRUE(IsSafeRelativePath("base/5/..x"));
}

TEST(BackupManifest, WhatIsRefused) {
  const std::string files[] = {
      "{ \"Size\": 3 }",                                             // no path
      "{ \"Path\": \"a\", \"Encoded-Path\": \"61\", \"Size\": 3 }",  // two
      "{ \"Encoded-Path\": \"6\", \"Size\": 3 }",
      "{ \"Encoded-Path\": \"6g\", \"Size\": 3 }",
      "{ \"Path\": \"a\" }",
      "{ \"Path\": \"a\", \"Size\": -1 }",
      "{ \"Path\": \"a\", \"Size\": 1.5 }",
      "{ \"Path\": \"a\", \"Size\": \"3\" }",
      "{ \"Path\": \"a\", \"Size\": null }",
      "{ \"Path\": [], \"Size\": 3 }",
      "{ \"Path\": {}, \"Size\": 3 }",
      "{ \"Path\": \"a\", \"Size\": 3, \"Checksum-Algorithm\": \"MD5\", \"Checksum\": \"00\" }",
      "{ \"Path\": \"a\", \"Size\": 3, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00\" }",
      "{ \"Path\": \"a\", \"Size\": 3, \"Checksum-Algorithm\": \"CRC32C\" }",
      "{ \"Path\": \"a\", \"Size\": 3, \"Checksum\": \"00000000\" }",
      "{ \"Path\": \"a\", \"Size\": 3, \"Other\": \"x\" }",
      "{ \"Path\": \"a\", \"Size\": 3 }, { \"Path\": \"a\", \"Size\": 3 }",
      "7",
      "\"x\"",
      "[]",
  };
  for (const std::string& file : files) EXPECT_NE(ErrorOf(WithFiles(file)), "") << file;
  EXPECT_NE(ErrorOf(WithFiles(kFile, 3)), "");
  EXPECT_NE(ErrorOf(WithFiles(kFile, 2)), "");  // without a system identifier
  EXPECT_NE(ErrorOf(WithFiles(kFile, 1, "\"Other\": 1,\n")), "");
  EXPECT_NE(ErrorOf(Sealed("{ \"Files\": [],\n")), "");
  EXPECT_NE(ErrorOf(Sealed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n")), "");
  EXPECT_NE(ErrorOf(Sealed("7,\n")), "");
  EXPECT_NE(ErrorOf(Sealed("[\n")), "");
  EXPECT_NE(ErrorOf(Sealed(std::string(1'000'000, '[') + "\n")), "");
  EXPECT_NE(ErrorOf(Sealed(std::string(1'000'000, '{') + "\n")), "");
  EXPECT_NE(ErrorOf(Sealed("{ \"PostgreSQL-Backup-Manifest-Version\": 1, \"Files\": [ "
                           "{ \"Path\": \"\xff\", \"Size\": 3 } ],\n")),
            "");
  EXPECT_NE(ErrorOf(""), "");
  EXPECT_NE(ErrorOf("\n"), "");
  EXPECT_NE(ErrorOf("\n\n"), "");
}

TEST(BackupManifest, IgnoredNames) {
  for (const char* path : {"backup_manifest", "pg_wal", "pg_wal/archive_status/x",
                           "postgresql.auto.conf", "recovery.signal", "standby.signal"})
    EXPECT_TRUE(IsIgnoredByManifest(path)) << path;
  for (const char* path : {"pg_wallet", "postgresql.conf", "base/pg_wal", "backup_manifest2"})
    EXPECT_FALSE(IsIgnoredByManifest(path)) << path;
}

}  // namespace
}  // namespace neon_redo

// Backups that tests build byte by byte.
#ifndef NEON_REDO_TESTS_UNIT_BASE_BACKUP_FIXTURE_H_
#define NEON_REDO_TESTS_UNIT_BASE_BACKUP_FIXTURE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/unpack.h"
#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/control_file.h"
#include "tests/unit/packed.h"
#include "tests/unit/version_15.h"

namespace neon_redo {

inline void WriteText(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

// Half of it can be packed.
inline std::string Noise(size_t size, uint32_t seed = 1) {
  std::minstd_rand random(seed);
  std::string out(size, '\0');
  for (size_t at = 0; at < size; at++)
    out[at] = static_cast<char>(at % 4096 < 2048 ? random() : at / 4096);
  return out;
}

// A tar archive as pg_basebackup writes it (common/tar.c). type: '0' a file, '2' a symbolic link, '5' a
// directory, '6' a FIFO.
class Tar {
 public:
  Tar& Add(const std::string& name, const std::string& content, char type = '0',
           const std::string& target = "") {
    AddHeader(name, content.size(), type, target);
    text_ += content;
    text_.resize((text_.size() + 511) / 512 * 512);
    return *this;
  }
  Tar& AddHeader(const std::string& name, uint64_t size, char type = '0',
                 const std::string& target = "") {
    std::string header(512, '\0');
    header.replace(0, name.size(), name);
    header.replace(100, 7, "0000600");
    header.replace(108, 7, "0000000");
    header.replace(116, 7, "0000000");
    header.replace(124, 11, fmt::format("{:011o}", size));
    header.replace(136, 11, "00000000000");
    header[156] = type;
    header.replace(157, target.size(), target);
    header.replace(257, 8, std::string("ustar\00000", 8));
    header.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<uint8_t>(c);
    header.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
    text_ += header;
    return *this;
  }
  std::string WithoutEnd() const { return text_; }
  std::string Whole() const { return text_ + std::string(1024, '\0'); }

 private:
  std::string text_;
};

// A control file of kControlFileSize bytes, as a backup has it.
inline std::string ControlFileOf(const pg::Version& version, uint64_t system_identifier = 1) {
  std::string out = pg::EmptyControlFile(version);
  std::memcpy(out.data(), &system_identifier, sizeof(system_identifier));
  const size_t at = version.control_file.crc;
  const uint32_t crc = Crc32c(Bytes(reinterpret_cast<const uint8_t*>(out.data()), at));
  std::memcpy(out.data() + at, &crc, sizeof(crc));
  out.resize(pg::kControlFileSize);
  return out;
}

inline std::string LabelAt(const std::string& lsn, uint32_t timeline = 1,
                           const std::string& more = "") {
  return fmt::format(
      "START WAL LOCATION: {} (file 000000010000000000000002)\nCHECKPOINT LOCATION: {}\n"
      "BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-11-27 00:00:00 UTC\n"
      "LABEL: test\nSTART TIMELINE: {}\n{}",
      lsn, lsn, timeline, more);
}

// A manifest with the last line that fits.
inline std::string SealedManifest(const std::string& text) {
  auto checksum = FileChecksum::Make(ChecksumKind::kSha256);
  static_cast<void>(checksum->Add({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  std::string hex;
  const auto sum = checksum->Finish();
  for (const char c : *sum) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return text + "\"Manifest-Checksum\": \"" + hex + "\"}\n";
}

// What a call failed with, and its code; empty: it did not.
template <typename T>
std::string ErrorOf(const tl::expected<T, Error>& result, ErrorCode* code = nullptr) {
  if (result) return "";
  if (code != nullptr) *code = result.error().code;
  return fmt::format("{}: {}", ErrorCodeName(result.error().code), result.error().message);
}

// A whole file by OpenFile, in pieces from the end to the beginning.
inline std::string ReadBackwards(const BaseBackup& backup, const std::string& name, uint64_t size,
                                 size_t piece = 5000) {
  auto file = backup.OpenFile(name);
  if (!file) return ErrorOf(file);
  std::string out(size, '?');
  for (uint64_t end = size; end > 0;) {
    const uint64_t begin = end > piece ? end - piece : 0;
    const WritableBytes where(reinterpret_cast<uint8_t*>(out.data()) + begin, end - begin);
    const auto got = (*file)->Read(begin, where);
    if (!got) return ErrorOf(got);
    if (*got != where.size()) return fmt::format("only {} bytes at {}", *got, begin);
    end = begin;
  }
  uint8_t behind;
  const auto got = (*file)->Read(size, {&behind, 1});
  return got && *got == 0 ? out : "something behind the end";
}

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_BASE_BACKUP_FIXTURE_H_

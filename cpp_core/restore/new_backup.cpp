// The manifest is as backup/backup_manifest.c writes it: a line a file, and at its end a checksum of all lines before.
#include "cpp_core/restore/new_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <ctime>
#include <nlohmann/json.hpp>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/backup/byte_source.h"
#include "cpp_core/backup/checksum.h"
#include "cpp_core/backup/manifest.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/backup_label.h"

namespace neon_redo {

namespace {

constexpr size_t kReadSize = size_t{1} << 20;

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return out;
}

std::string InGmt(time_t time, const char* format) {
  struct tm fields {};
  gmtime_r(&time, &fields);
  char text[64];
  return {text, strftime(text, sizeof(text), format, &fields)};
}

// Of a path; of one that is not UTF-8 in hexadecimal digits.
std::string PathField(const std::string& path) {
  try {
    return "\"Path\": " + nlohmann::json(path).dump();
  } catch (const nlohmann::json::type_error&) {
    return fmt::format("\"Encoded-Path\": \"{}\"", Hex(path));
  }
}

class ManifestWriter {
 public:
  ManifestWriter(const OutputDirectory& output, const ManifestOptions& options)
      : output_(output), options_(options) {}

  Result<std::string> Run();

 private:
  Result<std::string> LineOf(const std::string& name, std::vector<uint8_t>* piece);
  std::string Frame(const std::vector<std::string>& lines) const;

  const OutputDirectory& output_;
  const ManifestOptions& options_;
  std::atomic<uint64_t> read_{0};
};

Result<std::string> ManifestWriter::LineOf(const std::string& name, std::vector<uint8_t>* piece) {
  const std::string path = output_.PathOf(name);
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!fd || fstat(fd.get(), &st) != 0) return FileError("open file", path);
  ASSIGN_OR_RETURN(auto checksum, FileChecksum::Make(ChecksumKind::kCrc32c));
  piece->resize(kReadSize);
  uint64_t size = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const size_t got,
                     ReadFileAt(fd.get(), size, {piece->data(), piece->size()}, path));
    if (got == 0) break;
    RETURN_IF_ERROR(checksum.Add(Bytes(piece->data(), got)));
    size += got;
    read_ += got;
  }
  ASSIGN_OR_RETURN(const std::string sum, checksum.Finish());
  return fmt::format(
      "{{ {}, \"Size\": {}, \"Last-Modified\": \"{}\", \"Checksum-Algorithm\": \"CRC32C\", "
      "\"Checksum\": \"{}\" }}",
      PathField(name == options_.temporary ? options_.name : name), size,
      InGmt(st.st_mtime, "%Y-%m-%d %H:%M:%S GMT"), Hex(sum));
}

std::string ManifestWriter::Frame(const std::vector<std::string>& lines) const {
  const int version = options_.version->manifest_version;
  std::string out = fmt::format("{{ \"PostgreSQL-Backup-Manifest-Version\": {},\n", version);
  if (version > 1) out += fmt::format("\"System-Identifier\": {},\n", options_.system_identifier);
  out += "\"Files\": [\n";
  for (size_t i = 0; i < lines.size(); i++) out += lines[i] + (i + 1 < lines.size() ? ",\n" : "\n");
  const RestartPoint& point = *options_.point;
  out += fmt::format(
      "],\n\"WAL-Ranges\": [\n{{ \"Timeline\": {}, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\" "
      "}}\n],\n",
      point.checkpoint.timeline, point.checkpoint.redo.ToString(), point.end.ToString());
  return out;
}

Result<std::string> ManifestWriter::Run() {
  ASSIGN_OR_RETURN(const auto names, output_.Names());
  std::vector<std::string> wanted;
  for (const std::string& name : names)
    if (!IsIgnoredByManifest(name) && !name.ends_with(kRestoringFile)) wanted.push_back(name);
  std::vector<std::string> lines(wanted.size());
  std::vector<std::vector<uint8_t>> pieces(static_cast<size_t>(options_.jobs));
  RETURN_IF_ERROR(
      ForEachInParallel(pieces.size(), wanted.size(), [&](size_t lane, size_t item) -> Status {
        ASSIGN_OR_RETURN(lines[item], LineOf(wanted[item], &pieces[lane]));
        if (lane == 0 && options_.progress)
          options_.progress({"writing the manifest", read_.load(), 0});
        return {};
      }));
  std::string out = Frame(lines);
  ASSIGN_OR_RETURN(auto checksum, FileChecksum::Make(ChecksumKind::kSha256));
  RETURN_IF_ERROR(checksum.Add(Bytes(reinterpret_cast<const uint8_t*>(out.data()), out.size())));
  ASSIGN_OR_RETURN(const std::string sum, checksum.Finish());
  return out + fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", Hex(sum));
}

}  // namespace

// do_pg_backup_start in access/transam/xlog.c
std::string BackupLabelAt(const RestartPoint& point, uint32_t segment_size, int64_t time) {
  const Lsn redo = point.checkpoint.redo;
  const uint32_t timeline = point.checkpoint.timeline;
  return fmt::format(
      "START WAL LOCATION: {} (file {})\nCHECKPOINT LOCATION: {}\nBACKUP METHOD: streamed\n"
      "BACKUP FROM: standby\nSTART TIME: {}\nLABEL: neon-redo restore --synthetic-backup\n"
      "START TIMELINE: {}\n",
      redo.ToString(), FormatSegmentName(timeline, redo.value / segment_size, segment_size),
      point.start.ToString(), InGmt(time, "%Y-%m-%d %H:%M:%S GMT"), timeline);
}

Result<std::string> MakeManifest(const OutputDirectory& output, const ManifestOptions& options) {
  return ManifestWriter(output, options).Run();
}

}  // namespace neon_redo

// The manifest is JSON of a fixed form. It is read by events, so that it never stands in memory as a
// tree. `where_` says which of its objects the reader is in. As for PostgreSQL, an unknown field is an
// error: a later version with other fields has another version number.
//
// The last line holds the SHA-256 of all that is before the line. It is looked for in the text itself,
// as verify_manifest_checksum does, since it covers bytes and not values.
#include "cpp_core/backup/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "cpp_core/base/number.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

tl::unexpected<Error> ManifestError(const std::string& what) {
  return MakeError(ErrorCode::kCorrupt, "could not parse backup_manifest: " + what);
}

// The events of nlohmann's parser. A function that returns false ends the parse.
class ManifestReader {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  bool null() { return Fail("null where there is none"); }
  bool boolean(bool) { return Fail("true or false where there is none"); }
  bool number_float(number_float_t, const string_t& text) {
    return Fail(fmt::format("\"{}\" is no number that can stand here", text));
  }
  bool binary(binary_t&) { return Fail("not JSON"); }
  bool number_integer(number_integer_t) { return Fail("a negative number"); }
  bool number_unsigned(number_unsigned_t number);
  bool string(string_t& text);
  bool key(string_t& text);
  bool start_object(std::size_t);
  bool end_object();
  bool start_array(std::size_t);
  bool end_array();
  bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception&) {
    return Fail(fmt::format("not JSON at byte {}", at));
  }

  const std::string& problem() const { return problem_; }
  Status Check();

  BackupManifest manifest;

 private:
  enum class Where { kBefore, kTop, kFiles, kFile, kRanges, kRange, kAfter };

  bool Fail(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
    return false;
  }
  bool Unknown() {
    return Fail(fmt::format("field \"{}\" is not known or has another type", key_));
  }
  bool FinishFile();
  bool FinishRange();

  Where where_ = Where::kBefore;
  std::string key_, problem_;
  bool has_checksum_ = false, has_files_ = false;
  // Of the file or range at hand.
  struct Fields {
    std::optional<std::string> path, encoded_path, algorithm, checksum, start, end;
    std::optional<uint64_t> size, timeline;
  } fields_;
};

bool ManifestReader::key(string_t& text) {
  key_ = text;
  return true;
}

bool ManifestReader::start_object(std::size_t) {
  switch (where_) {
    case Where::kBefore:
      where_ = Where::kTop;
      return true;
    case Where::kFiles:
      where_ = Where::kFile;
      break;
    case Where::kRanges:
      where_ = Where::kRange;
      break;
    default:
      return Fail("an object where there is none");
  }
  fields_ = {};
  return true;
}

bool ManifestReader::start_array(std::size_t) {
  if (where_ != Where::kTop) return Fail("an array where there is none");
  if (key_ == "Files")
    where_ = Where::kFiles;
  else if (key_ == "WAL-Ranges")
    where_ = Where::kRanges;
  else
    return Unknown();
  has_files_ |= where_ == Where::kFiles;
  return true;
}

bool ManifestReader::end_array() {
  where_ = Where::kTop;
  return true;
}

bool ManifestReader::end_object() {
  switch (where_) {
    case Where::kFile:
      where_ = Where::kFiles;
      return FinishFile();
    case Where::kRange:
      where_ = Where::kRanges;
      return FinishRange();
    default:
      where_ = Where::kAfter;
      return true;
  }
}

bool ManifestReader::number_unsigned(number_unsigned_t number) {
  if (where_ == Where::kTop && key_ == "PostgreSQL-Backup-Manifest-Version") {
    if (number != 1 && number != 2) return Fail(fmt::format("version {} is not supported", number));
    manifest.version = static_cast<int>(number);
  } else if (where_ == Where::kTop && key_ == "System-Identifier") {
    manifest.system_identifier = number;
  } else if (where_ == Where::kFile && key_ == "Size") {
    fields_.size = number;
  } else if (where_ == Where::kRange && key_ == "Timeline") {
    if (number > UINT32_MAX) return Fail("timeline out of range");
    fields_.timeline = number;
  } else {
    return Unknown();
  }
  return true;
}

bool ManifestReader::string(string_t& text) {
  if (where_ == Where::kTop && key_ == "Manifest-Checksum") {
    has_checksum_ = true;
    return true;
  }
  const std::pair<const char*, std::optional<std::string>*> of_file[] = {
      {"Path", &fields_.path},
      {"Encoded-Path", &fields_.encoded_path},
      {"Checksum-Algorithm", &fields_.algorithm},
      {"Checksum", &fields_.checksum}};
  const std::pair<const char*, std::optional<std::string>*> of_range[] = {
      {"Start-LSN", &fields_.start}, {"End-LSN", &fields_.end}};
  if (where_ == Where::kFile) {
    if (key_ == "Last-Modified") return true;
    for (const auto& [name, field] : of_file) {
      if (key_ != name) continue;
      *field = std::move(text);
      return true;
    }
  }
  if (where_ == Where::kRange) {
    for (const auto& [name, field] : of_range) {
      if (key_ != name) continue;
      *field = std::move(text);
      return true;
    }
  }
  return Unknown();
}

// json_manifest_finalize_file
bool ManifestReader::FinishFile() {
  ManifestFile file;
  if (fields_.path.has_value() == fields_.encoded_path.has_value())
    return Fail("a file without a path, or with two");
  if (fields_.path) {
    file.path = std::move(*fields_.path);
  } else {
    auto path = FromHex(*fields_.encoded_path);
    if (!path) return Fail("a file whose encoded path is not hexadecimal");
    file.path = std::move(*path);
  }
  if (!IsSafeRelativePath(file.path))
    return Fail(fmt::format("path \"{}\" leaves the backup's directory", file.path));
  if (!fields_.size) return Fail(fmt::format("file \"{}\" has no size", file.path));
  file.size = *fields_.size;
  if (fields_.algorithm) {
    const auto kind = ParseChecksumKind(*fields_.algorithm);
    if (!kind)
      return Fail(fmt::format("file \"{}\": checksum algorithm \"{}\" is not known", file.path,
                              *fields_.algorithm));
    file.kind = *kind;
  }
  if (fields_.algorithm.has_value() != fields_.checksum.has_value())
    return Fail(fmt::format("file \"{}\": a checksum without its algorithm, or the other way round",
                            file.path));
  auto checksum = FromHex(fields_.checksum.value_or(""));
  if (!checksum || checksum->size() != ChecksumSize(file.kind))
    return Fail(fmt::format("file \"{}\": its checksum is not one of {}", file.path,
                            ChecksumName(file.kind)));
  file.checksum = std::move(*checksum);
  manifest.files.push_back(std::move(file));
  return true;
}

// json_manifest_finalize_wal_range
bool ManifestReader::FinishRange() {
  if (!fields_.timeline || !fields_.start || !fields_.end) return Fail("an incomplete WAL range");
  const auto start = Lsn::Parse(*fields_.start), end = Lsn::Parse(*fields_.end);
  if (!start || !end) return Fail("a WAL range whose LSNs are none");
  manifest.wal_ranges.push_back({static_cast<uint32_t>(*fields_.timeline), *start, *end});
  return true;
}

// Once all is read.
Status ManifestReader::Check() {
  if (manifest.version == 0) return ManifestError("it has no version");
  if (manifest.version > 1 && !manifest.system_identifier)
    return ManifestError("it has no system identifier");
  if (!has_files_) return ManifestError("it has no list of files");
  if (!has_checksum_) return ManifestError("it has no checksum of its own");
  auto& files = manifest.files;
  std::sort(files.begin(), files.end(),
            [](const ManifestFile& a, const ManifestFile& b) { return a.path < b.path; });
  const auto twice = std::adjacent_find(
      files.begin(), files.end(),
      [](const ManifestFile& a, const ManifestFile& b) { return a.path == b.path; });
  if (twice != files.end()) return ManifestError(fmt::format("it names \"{}\" twice", twice->path));
  return {};
}

// The text ends in a line `"Manifest-Checksum": "…"}` and a newline.
Status CheckOwnChecksum(std::string_view text) {
  constexpr std::string_view kField = "\"Manifest-Checksum\":";
  if (!text.ends_with('\n')) return ManifestError("its last line is not whole (it was cut off)");
  const size_t before = text.substr(0, text.size() - 1).rfind('\n');
  if (before == std::string_view::npos) return ManifestError("it has one line only");
  const std::string_view covered = text.substr(0, before + 1), line = text.substr(before + 1);
  const size_t field = line.find(kField);
  const size_t begin = field == line.npos ? field : line.find('"', field + kField.size());
  const size_t end = begin == line.npos ? begin : line.find('"', begin + 1);
  if (end == line.npos) return ManifestError("its last line has no checksum");
  const auto stored = FromHex(line.substr(begin + 1, end - begin - 1));
  ASSIGN_OR_RETURN(auto checksum, FileChecksum::Make(ChecksumKind::kSha256));
  RETURN_IF_ERROR(
      checksum.Add(Bytes(reinterpret_cast<const uint8_t*>(covered.data()), covered.size())));
  ASSIGN_OR_RETURN(const auto computed, checksum.Finish());
  if (!stored || *stored != computed)
    return ManifestError("its own checksum does not fit its content");
  return {};
}

}  // namespace

bool IsSafeRelativePath(std::string_view path) {
  if (path.find('\0') != path.npos) return false;
  for (size_t begin = 0;;) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    if (end == path.size()) return true;
    begin = end + 1;
  }
}

bool IsIgnoredByManifest(std::string_view path) {
  for (const std::string_view name :
       {"backup_manifest", "pg_wal", "postgresql.auto.conf", "recovery.signal", "standby.signal"})
    if (path.starts_with(name) && (path.size() == name.size() || path[name.size()] == '/'))
      return true;
  return false;
}

const ManifestFile* BackupManifest::Find(std::string_view path) const {
  const auto at = std::lower_bound(
      files.begin(), files.end(), path,
      [](const ManifestFile& file, std::string_view wanted) { return file.path < wanted; });
  return at != files.end() && at->path == path ? &*at : nullptr;
}

Result<BackupManifest> ParseBackupManifest(std::string_view text) {
  RETURN_IF_ERROR(CheckOwnChecksum(text));
  ManifestReader reader;
  if (!nlohmann::json::sax_parse(text, &reader))
    return ManifestError(reader.problem().empty() ? "not JSON" : reader.problem());
  RETURN_IF_ERROR(reader.Check());
  return std::move(reader.manifest);
}

}  // namespace neon_redo

#include "cpp_core/verify/data_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/base/try.h"

extern "C" {
#include <postgres_fe.h>
// Rely on postgres_fe.h before them.
#include <catalog/catversion.h>
#include <catalog/pg_control.h>
#include <catalog/pg_tablespace_d.h>
#include <common/relpath.h>
}
// The server's printf stands in for the C library's in the headers above; fmt does the printing.
#undef printf
#undef snprintf
#undef vsnprintf
#undef strerror

namespace neon_redo {
namespace {

Result<std::string> ReadFile(const std::string& path, ErrorCode when_missing, const char* hint) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const int error = errno;
    return MakeError(error == ENOENT || error == ENOTDIR ? when_missing : ErrorCode::kIo,
                     fmt::format("could not open file \"{}\": {}{}", path, std::strerror(error),
                                 error == ENOENT || error == ENOTDIR ? hint : ""));
  }
  std::ostringstream content;
  content << in.rdbuf();
  return std::move(content).str();
}

// An int: the file may hold any number.
const char* StateName(int state) {
  switch (state) {
    case DB_STARTUP:
      return "starting up";
    case DB_SHUTDOWNED:
      return "shut down";
    case DB_SHUTDOWNED_IN_RECOVERY:
      return "shut down in recovery";
    case DB_SHUTDOWNING:
      return "shutting down";
    case DB_IN_CRASH_RECOVERY:
      return "in crash recovery";
    case DB_IN_ARCHIVE_RECOVERY:
      return "in archive recovery";
    case DB_IN_PRODUCTION:
      return "in production";
  }
  return "unrecognized";
}

}  // namespace

Result<ControlData> ReadControlData(const std::string& directory) {
  const std::string path = directory + "/global/pg_control";
  ASSIGN_OR_RETURN(auto content,
                   ReadFile(path, ErrorCode::kNotFound, " (is this a data directory?)"));
  ControlFileData control;
  if (content.size() < sizeof(control))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} has only {} bytes", path, content.size()));
  std::memcpy(&control, content.data(), sizeof(control));
  if (control.pg_control_version != PG_CONTROL_VERSION)
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("{} has version {}; this program is built for PostgreSQL {} ({})", path,
                    control.pg_control_version, PG_MAJORVERSION, PG_CONTROL_VERSION));
  const Bytes bytes(reinterpret_cast<const uint8_t*>(&control), offsetof(ControlFileData, crc));
  if (Crc32c(bytes) != control.crc)
    return MakeError(ErrorCode::kCorrupt, fmt::format("{}: the checksum does not fit", path));
  if (control.catalog_version_no != CATALOG_VERSION_NO || control.blcksz != kBlockSize ||
      control.relseg_size != RELSEG_SIZE)
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("{}: the cluster was made by a server with other catalogs, block "
                                 "size or segment size than this program's",
                                 path));
  ControlData data;
  data.system_identifier = control.system_identifier;
  // Not read as what they are declared: any byte may be there, which an enum or a bool is not.
  int state;
  static_assert(sizeof(state) == sizeof(control.state));
  std::memcpy(&state, &control.state, sizeof(state));
  uint8_t track;
  static_assert(sizeof(track) == sizeof(control.track_commit_timestamp));
  std::memcpy(&track, &control.track_commit_timestamp, sizeof(track));
  data.shut_down = state == DB_SHUTDOWNED;
  data.state = StateName(state);
  data.checkpoint = Lsn(control.checkPoint);
  data.timeline = control.checkPointCopy.ThisTimeLineID;
  data.track_commit_timestamp = track != 0;
  data.checksums = control.data_checksum_version != 0;
  return data;
}

Result<BackupLabel> ReadBackupLabel(const std::string& directory) {
  const std::string path = directory + "/backup_label";
  const bool is_tar = std::filesystem::exists(directory + "/base.tar") ||
                      std::filesystem::exists(directory + "/base.tar.gz");
  auto content = ReadFile(path, ErrorCode::kNotFound,
                          is_tar ? " (unpack base.tar first, or take the backup with "
                                   "pg_basebackup --format=plain)"
                                 : " (it must be a base backup as pg_basebackup leaves it; a "
                                   "server started on it removes the file)");
  if (!content) return tl::unexpected(content.error());
  BackupLabel label{};
  std::istringstream lines(*content);
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kStart = "START WAL LOCATION: ";
    constexpr std::string_view kTimeline = "START TIMELINE: ";
    if (line.starts_with(kStart)) {
      const auto text = line.substr(kStart.size(), line.find(' ', kStart.size()) - kStart.size());
      auto lsn = Lsn::Parse(text);
      if (lsn) label.start = *lsn;
    } else if (line == "BACKUP FROM: standby") {
      label.from_standby = true;
    } else if (line.starts_with(kTimeline)) {
      label.timeline =
          static_cast<uint32_t>(std::strtoul(line.c_str() + kTimeline.size(), nullptr, 10));
    }
  }
  if (!label.start.valid() || label.timeline == 0)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} does not say START WAL LOCATION and START TIMELINE", path));
  return label;
}

void RelationFiles::CloseAll() {
  for (const auto& [segment, fd] : open_)
    if (fd >= 0) close(fd);
  open_.clear();
}

std::string DatabasePath(uint32_t spc, uint32_t db) {
  if (spc == GLOBALTABLESPACE_OID) return "global";
  if (spc == DEFAULTTABLESPACE_OID) return fmt::format("base/{}", db);
  return fmt::format("pg_tblspc/{}/{}/{}", spc, TABLESPACE_VERSION_DIRECTORY, db);
}

std::string RelationPath(const BlockTag& tag) {
  std::string path = fmt::format("{}/{}", DatabasePath(tag.rel.spc, tag.rel.db), tag.rel.rel);
  if (tag.fork != kMainFork) path += fmt::format("_{}", ForkName(tag.fork));
  if (const uint32_t segment = tag.block / RELSEG_SIZE; segment > 0)
    path += fmt::format(".{}", segment);
  return path;
}

namespace {

namespace fs = std::filesystem;

// All of the text is a number without leading zeroes.
bool ReadNumber(std::string_view text, uint32_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && text[0] != '0';
}

// "16384", "16384_vm", "16384.1", "16384_vm.1" (parse_filename_for_nontemp_relation).
bool ReadFileName(std::string_view name, BlockTag* tag, uint32_t* segment) {
  *segment = 0;
  if (const size_t dot = name.find('.'); dot != name.npos) {
    if (!ReadNumber(name.substr(dot + 1), segment)) return false;
    name = name.substr(0, dot);
  }
  tag->fork = kMainFork;
  if (const size_t line = name.find('_'); line != name.npos) {
    const std::string_view fork = name.substr(line + 1);
    while (tag->fork <= kMaxForkNumber && (tag->fork == kMainFork || fork != ForkName(tag->fork)))
      tag->fork++;
    if (tag->fork > kMaxForkNumber) return false;
    name = name.substr(0, line);
  }
  return ReadNumber(name, &tag->rel.rel);
}

void ListDatabase(const std::string& directory, uint32_t spc, uint32_t db, RelationFileList* out,
                  std::error_code* error) {
  out->databases.insert({spc, db});
  for (const auto& entry :
       fs::directory_iterator(directory + "/" + DatabasePath(spc, db), *error)) {
    BlockTag tag{{spc, db, 0}};
    uint32_t segment;
    if (!ReadFileName(entry.path().filename().string(), &tag, &segment)) continue;
    const uint64_t size = entry.file_size(*error);
    if (*error) return;
    const auto blocks = static_cast<uint32_t>(size / kBlockSize);
    uint32_t& end = out->forks[tag];
    if (blocks > 0 || segment == 0) end = std::max(end, segment * RELSEG_SIZE + blocks);
  }
}

}  // namespace

Result<RelationFileList> ListRelationFiles(const std::string& directory) {
  RelationFileList out;
  std::error_code error;
  ListDatabase(directory, GLOBALTABLESPACE_OID, 0, &out, &error);
  const auto databases_of = [&](uint32_t spc, const std::string& path) {
    for (const auto& entry : fs::directory_iterator(directory + "/" + path, error)) {
      uint32_t db;
      if (!error && ReadNumber(entry.path().filename().string(), &db))
        ListDatabase(directory, spc, db, &out, &error);
    }
  };
  if (!error) databases_of(DEFAULTTABLESPACE_OID, "base");
  for (const auto& entry : fs::directory_iterator(directory + "/pg_tblspc", error)) {
    uint32_t spc;
    if (error || !ReadNumber(entry.path().filename().string(), &spc)) continue;
    databases_of(spc, fmt::format("pg_tblspc/{}/{}", spc, TABLESPACE_VERSION_DIRECTORY));
  }
  if (error)
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not list the relation files below \"{}\": {}", directory,
                                 error.message()));
  return out;
}

Result<int> RelationFiles::Open(const BlockTag& tag) {
  constexpr size_t kOpenFiles = 32;
  BlockTag segment = tag;
  segment.block = tag.block / RELSEG_SIZE;
  if (auto found = open_.find(segment); found != open_.end()) return found->second;
  const std::string path = directory_ + "/" + RelationPath(tag);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not open file \"{}\": {}", path, std::strerror(errno)));
  if (open_.size() == kOpenFiles) CloseAll();
  open_[segment] = fd;
  return fd;
}

Result<RelationFiles::Found> RelationFiles::Read(const BlockTag& tag, uint8_t* page) {
  ASSIGN_OR_RETURN(const int fd, Open(tag));
  // A segment that is missing while the relation is there is the end of the relation.
  if (fd < 0) return tag.block < RELSEG_SIZE ? Found::kNoFile : Found::kPastEnd;
  const off_t offset = static_cast<off_t>(tag.block % RELSEG_SIZE) * kBlockSize;
  const ssize_t got = pread(fd, page, kBlockSize, offset);
  if (got < 0)
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not read block {} in file \"{}\": {}", tag.block,
                                 RelationPath(tag), std::strerror(errno)));
  return got == static_cast<ssize_t>(kBlockSize) ? Found::kPage : Found::kPastEnd;
}

}  // namespace neon_redo

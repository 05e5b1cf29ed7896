#include "cpp_core/verify/data_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cpp_core/base/crc32c.h"

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
                     fmt::format("cannot open {}: {}{}", path, std::strerror(error),
                                 error == ENOENT || error == ENOTDIR ? hint : ""));
  }
  std::ostringstream content;
  content << in.rdbuf();
  return std::move(content).str();
}

const char* StateName(DBState state) {
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
  auto content = ReadFile(path, ErrorCode::kNotFound, " (is this a data directory?)");
  if (!content) return tl::unexpected(content.error());
  ControlFileData control;
  if (content->size() < sizeof(control))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} has only {} bytes", path, content->size()));
  std::memcpy(&control, content->data(), sizeof(control));
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
  data.shut_down = control.state == DB_SHUTDOWNED;
  data.state = StateName(control.state);
  data.checkpoint = Lsn(control.checkPoint);
  data.timeline = control.checkPointCopy.ThisTimeLineID;
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

// GetRelationPath in common/relpath.c.
std::string RelationFiles::Path(const BlockTag& tag) const {
  std::string path;
  if (tag.rel.spc == GLOBALTABLESPACE_OID)
    path = fmt::format("{}/global/{}", directory_, tag.rel.rel);
  else if (tag.rel.spc == DEFAULTTABLESPACE_OID)
    path = fmt::format("{}/base/{}/{}", directory_, tag.rel.db, tag.rel.rel);
  else
    path = fmt::format("{}/pg_tblspc/{}/{}/{}/{}", directory_, tag.rel.spc,
                       TABLESPACE_VERSION_DIRECTORY, tag.rel.db, tag.rel.rel);
  if (tag.fork != kMainFork) path += fmt::format("_{}", ForkName(tag.fork));
  if (tag.block > 0) path += fmt::format(".{}", tag.block);
  return path;
}

Result<int> RelationFiles::Open(const BlockTag& segment) {
  constexpr size_t kOpenFiles = 32;
  if (auto found = open_.find(segment); found != open_.end()) return found->second;
  const std::string path = Path(segment);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
    return MakeError(ErrorCode::kIo, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  if (open_.size() == kOpenFiles) CloseAll();
  open_[segment] = fd;
  return fd;
}

Result<RelationFiles::Found> RelationFiles::Read(const BlockTag& tag, uint8_t* page) {
  BlockTag segment = tag;
  segment.block = tag.block / RELSEG_SIZE;
  const Result<int> fd = Open(segment);
  if (!fd) return tl::unexpected(fd.error());
  // A segment that is missing while the relation is there is the end of the relation.
  if (*fd < 0) return segment.block == 0 ? Found::kNoFile : Found::kPastEnd;
  const off_t offset = static_cast<off_t>(tag.block % RELSEG_SIZE) * kBlockSize;
  const ssize_t got = pread(*fd, page, kBlockSize, offset);
  if (got < 0)
    return MakeError(ErrorCode::kIo, fmt::format("cannot read block {} of {}: {}", tag.block,
                                                 Path(segment), std::strerror(errno)));
  return got == static_cast<ssize_t>(kBlockSize) ? Found::kPage : Found::kPastEnd;
}

}  // namespace neon_redo

#include "cpp_core/verify/data_directory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/cluster_file.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {
namespace {

// These files have some hundred bytes, pg_control 8 kB.
constexpr size_t kMaxFile = 1 << 20;

Result<std::string> ReadFile(const std::string& directory, const char* name, const char* hint) {
  auto content = pg::ReadClusterFile(directory, name, kMaxFile);
  if (!content && content.error().code == ErrorCode::kNotFound) content.error().message += hint;
  return content;
}

}  // namespace

Result<ControlData> ReadControlData(const std::string& directory) {
  const std::string path = directory + "/" + pg::kControlFile;
  ASSIGN_OR_RETURN(auto content,
                   ReadFile(directory, pg::kControlFile, " (is this a data directory?)"));
  ASSIGN_OR_RETURN(
      const auto control,
      pg::ParseControlFile(Bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size()),
                           path));
  ControlData data;
  data.version = control.version;
  data.system_identifier = control.system_identifier;
  data.shut_down = control.status == pg::ClusterStatus::kShutDown;
  data.state = pg::ClusterStatusText(control.status);
  data.checkpoint = control.checkpoint;
  data.timeline = control.checkpoint_copy.timeline;
  data.track_commit_timestamp = control.track_commit_timestamp;
  data.checksums = control.checksums;
  return data;
}

Result<BackupLabel> ReadBackupLabel(const std::string& directory) {
  const std::string path = directory + "/backup_label";
  const bool is_tar = std::filesystem::exists(directory + "/base.tar") ||
                      std::filesystem::exists(directory + "/base.tar.gz");
  auto content = ReadFile(directory, "backup_label",
                          is_tar ? " (unpack base.tar first, or take the backup with "
                                   "pg_basebackup --format=plain)"
                                 : " (it must be a base backup as pg_basebackup leaves it; a "
                                   "server started on it removes the file)");
  if (!content) return tl::unexpected(content.error());
  const auto label = ParseBackupLabel(*content);
  if (!label)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} does not say START WAL LOCATION and START TIMELINE", path));
  return *label;
}

namespace {

namespace fs = std::filesystem;

// Adds what the directory of a database holds.
Status ListDatabase(const std::string& directory, const pg::Version& version, uint32_t spc,
                    uint32_t db, RelationFileList* out, std::error_code* error) {
  out->databases.insert({spc, db});
  const std::string path = directory + "/" + pg::DatabasePath(version, spc, db);
  for (const auto& entry : fs::directory_iterator(path, *error)) {
    const auto name = pg::ParseRelationFileName(entry.path().filename().string());
    if (!name) continue;
    // The server may have removed it since.
    const fs::file_type type = entry.symlink_status(*error).type();
    if (!*error && type != fs::file_type::regular && type != fs::file_type::not_found)
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("\"{}\" has the name of a relation's file, but is not a regular "
                                   "file",
                                   entry.path().string()));
    const uint64_t size = entry.file_size(*error);
    if (*error) return {};
    const auto blocks = static_cast<uint32_t>(size / kBlockSize);
    uint32_t& end = out->forks[{{spc, db, name->rel}, name->fork, 0}];
    if (blocks > 0 || name->segment == 0)
      end = std::max(end, name->segment * pg::kBlocksPerFile + blocks);
  }
  return {};
}

}  // namespace

Result<RelationFileList> ListRelationFiles(const std::string& directory,
                                           const pg::Version& version) {
  RelationFileList out;
  std::error_code error;
  Status listed = ListDatabase(directory, version, pg::kGlobalTablespace, 0, &out, &error);
  const auto databases_of = [&](uint32_t spc) {
    const std::string path = directory + "/" + pg::TablespacePath(version, spc);
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const auto db = pg::ParseOid(entry.path().filename().string());
      if (!error && db && listed) listed = ListDatabase(directory, version, spc, *db, &out, &error);
    }
  };
  if (!error) databases_of(pg::kDefaultTablespace);
  for (const auto& entry : fs::directory_iterator(directory + "/pg_tblspc", error)) {
    const auto spc = pg::ParseOid(entry.path().filename().string());
    if (!error && spc) databases_of(*spc);
  }
  RETURN_IF_ERROR(listed);
  if (error)
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not list the relation files below \"{}\": {}", directory,
                                 error.message()));
  return out;
}

Result<int> RelationFiles::Open(const BlockTag& tag) {
  constexpr size_t kOpenFiles = 32;
  BlockTag segment = tag;
  segment.block = tag.block / pg::kBlocksPerFile;
  if (auto found = open_.find(segment); found != open_.end()) return found->second.get();
  auto fd = pg::OpenClusterFile(directory_, pg::BlockFilePath(*version_, tag));
  if (!fd && fd.error().code != ErrorCode::kNotFound) return tl::unexpected(fd.error());
  if (open_.size() == kOpenFiles) open_.clear();
  return (open_[segment] = fd ? std::move(*fd) : FileDescriptor()).get();
}

Result<RelationFiles::Found> RelationFiles::Read(const BlockTag& tag, uint8_t* page) {
  ASSIGN_OR_RETURN(const int fd, Open(tag));
  // A segment that is missing while the relation is there is the end of the relation.
  if (fd < 0) return tag.block < pg::kBlocksPerFile ? Found::kNoFile : Found::kPastEnd;
  const off_t offset = static_cast<off_t>(tag.block % pg::kBlocksPerFile) * kBlockSize;
  const ssize_t got = pread(fd, page, kBlockSize, offset);
  if (got < 0)
    return ErrnoError(errno, fmt::format("could not read block {} in file \"{}\"", tag.block,
                                         pg::BlockFilePath(*version_, tag)));
  return got == static_cast<ssize_t>(kBlockSize) ? Found::kPage : Found::kPastEnd;
}

}  // namespace neon_redo

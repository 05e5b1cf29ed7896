#include "cpp_core/verify/data_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/open_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/cluster_file.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {
namespace {

// These files have some hundred bytes, pg_control 8 kB, the state of a transaction perhaps more.
constexpr size_t kMaxFile = 64 << 20;

Result<std::string> ReadFile(const std::string& directory, const char* name, const char* hint) {
  auto content = pg::ReadClusterFile(directory, name, kMaxFile);
  if (!content && content.error().code == ErrorCode::kNotFound) content.error().message += hint;
  return content;
}

}  // namespace

Result<std::optional<std::string>> ReadFileIfThere(const std::string& directory,
                                                   const std::string& name) {
  auto content = pg::ReadClusterFile(directory, name, kMaxFile);
  if (content) return std::move(*content);
  if (content.error().code == ErrorCode::kNotFound) return std::nullopt;
  return tl::unexpected(content.error());
}

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
  data.is_standby = control.status == pg::ClusterStatus::kShutDownInRecovery;
  data.state = pg::ClusterStatusText(control.status);
  data.checkpoint = control.checkpoint;
  data.redo = control.checkpoint_copy.redo;
  data.min_recovery_point = control.min_recovery_point;
  data.min_recovery_timeline = control.min_recovery_timeline;
  data.timeline = control.checkpoint_copy.timeline;
  data.track_commit_timestamp = control.track_commit_timestamp;
  data.checksums = control.checksums;
  data.wal_log_hints = control.wal_log_hints;
  data.oldest_xid = control.checkpoint_copy.oldest_xid;
  data.next_xid = static_cast<uint32_t>(control.checkpoint_copy.next_xid);
  data.next_full_xid = control.checkpoint_copy.next_xid;
  data.oldest_multixact = control.checkpoint_copy.oldest_multixact;
  data.next_multixact = control.checkpoint_copy.next_multixact;
  data.next_multixact_offset = control.checkpoint_copy.next_multixact_offset;
  data.oldest_commit_ts = control.checkpoint_copy.oldest_commit_ts_xid;
  data.newest_commit_ts = control.checkpoint_copy.newest_commit_ts_xid;
  return data;
}

Result<BackupLabel> ReadBackupLabel(const std::string& directory) {
  const std::string path = fmt::format("{}/{}", directory, kBackupLabelFile);
  const auto is_there = [&](const char* name) {
    return access((directory + name).c_str(), F_OK) == 0;
  };
  const bool is_tar = is_there("/base.tar") || is_there("/base.tar.gz");
  auto content = ReadFile(directory, kBackupLabelFile,
                          is_tar ? " (unpack base.tar first, or take the backup with "
                                   "pg_basebackup --format=plain)"
                                 : " (it must be a base backup as pg_basebackup leaves it; a "
                                   "server started on it removes the file)");
  if (!content) return tl::unexpected(content.error());
  const auto label = ParseBackupLabel(*content);
  if (!label)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} does not say START WAL LOCATION and START TIMELINE", path));
  if (label->is_incremental)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the backup in {} is an incremental one: combine it with those "
                                 "before it by pg_combinebackup first",
                                 directory));
  return *label;
}

Status CheckDescent(const BackupLabel& label, const std::string& backup, const WalLineage& lineage,
                    const std::string& of) {
  if (lineage.Has(label.timeline, label.start)) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("the backup in {} was taken on timeline {} at {}, which timeline {} of {} does "
                  "not descend from: give a backup of that timeline or an ancestor",
                  backup, label.timeline, label.start.ToString(), lineage.timeline, of));
}

Status CheckOneCluster(const std::string& wal, const pg::Version& version, uint64_t of_wal,
                       const std::string& directory, const ControlData& control) {
  const uint64_t of_directory = control.system_identifier;
  if (&version != control.version)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the WAL in {} is of PostgreSQL {}, but {} is of PostgreSQL {}",
                                 wal, version.major, directory, control.version->major));
  if (of_wal == of_directory) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the WAL in {} is of another cluster than {}: system identifiers "
                               "{} and {}",
                               wal, directory, of_wal, of_directory));
}

Status CheckBackupBeforeWal(const std::string& backup, const BackupLabel& label,
                            const ControlData& control, const WalSet& wal,
                            std::optional<uint32_t> timeline) {
  ASSIGN_OR_RETURN(const auto lineage, ReadLineage(wal, timeline, label.start));
  const std::string places = NamePaths(wal.given());
  RETURN_IF_ERROR(
      CheckOneCluster(places, *lineage.version, lineage.system_identifier, backup, control));
  return CheckDescent(label, backup, lineage, "the WAL in " + places);
}

namespace {

using Segments = std::map<uint32_t, uint32_t>;  // a fork's files: number to whole blocks

// The entries of a directory, but for those that the server has removed since. Links are not
// followed, as OpenClusterFile follows none. Calls entry(name, stat).
template <typename Entry>
Status ListDirectory(const std::string& path, Entry entry) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(path));
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  for (const std::string& name : names) {
    struct stat st;
    if (fstatat(directory.fd(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
      RETURN_IF_ERROR(entry(name, st));
    } else if (errno != ENOENT) {
      return FileError("stat file", path + "/" + name);
    }
  }
  return {};
}

class Lister {
 public:
  Lister(const std::string& directory, const pg::Version& version, bool may_lack_tablespaces)
      : directory_(directory), version_(version), may_lack_(may_lack_tablespaces) {}

  Result<RelationFileList> List() {
    RETURN_IF_ERROR(ListDatabase(pg::kGlobalTablespace, 0));
    RETURN_IF_ERROR(ListTablespace(pg::kDefaultTablespace));
    RETURN_IF_ERROR(
        ListDirectory(directory_ + "/pg_tblspc", [&](const std::string& name, const struct stat&) {
          const auto spc = pg::ParseOid(name);
          return spc ? ListTablespace(*spc) : Status();
        }));
    for (const auto& [fork, segments] : segments_) out_.forks[fork] = FilesOf(segments);
    return std::move(out_);
  }

 private:
  Status ListTablespace(uint32_t spc) {
    const std::string path = directory_ + "/" + pg::TablespacePath(version_, spc);
    if (may_lack_ && access(path.c_str(), F_OK) != 0 && errno == ENOENT) return {};
    return ListDirectory(path, [&](const std::string& name, const struct stat& st) {
      const auto db = pg::ParseOid(name);
      if (!db) return Status();
      if (S_ISDIR(st.st_mode)) return ListDatabase(spc, *db);
      out_.strange_databases[{spc, *db}] = FileKindName(st);
      return Status();
    });
  }

  // Adds what the directory of a database holds.
  Status ListDatabase(uint32_t spc, uint32_t db) {
    out_.databases.insert({spc, db});
    const std::string path = directory_ + "/" + pg::DatabasePath(version_, spc, db);
    return ListDirectory(path, [&](const std::string& file, const struct stat& st) {
      const auto name = pg::ParseRelationFileName(file);
      if (!name) return Status();
      const BlockTag fork{{spc, db, name->rel}, name->fork, 0};
      if (!S_ISREG(st.st_mode)) {
        BlockTag first = fork;
        first.block = name->segment * pg::kBlocksPerFile;
        out_.strange_files[first] = FileKindName(st);
      } else {
        // One more than a file may have stands for any number of them.
        segments_[fork][name->segment] = static_cast<uint32_t>(std::min<uint64_t>(
            static_cast<uint64_t>(st.st_size) / kBlockSize, pg::kBlocksPerFile + 1));
      }
      return Status();
    });
  }

  // _mdnblocks (storage/smgr/md.c)
  static ForkFiles FilesOf(const Segments& segments) {
    ForkFiles out;
    uint32_t next = 0;
    bool ended = false;
    for (const auto& [number, found] : segments) {
      const uint32_t blocks = std::min(found, pg::kBlocksPerFile);
      if (found > blocks && !out.oversized) out.oversized = number;
      ended = ended || number != next++;
      if (!ended)
        out.blocks = number * pg::kBlocksPerFile + blocks;
      else
        out.beyond.emplace_back(number, blocks);
      ended = ended || blocks < pg::kBlocksPerFile;
    }
    return out;
  }

  const std::string& directory_;
  const pg::Version& version_;
  const bool may_lack_;
  std::map<BlockTag, Segments> segments_;
  RelationFileList out_;
};

}  // namespace

Result<RelationFileList> ListRelationFiles(const std::string& directory, const pg::Version& version,
                                           bool may_lack_tablespaces) {
  return Lister(directory, version, may_lack_tablespaces).List();
}

Status CheckNothingStrange(const RelationFileList& list, const std::string& directory,
                           const pg::Version& version) {
  std::string path, what;
  if (!list.strange_files.empty()) {
    path = pg::BlockFilePath(version, list.strange_files.begin()->first);
    what = list.strange_files.begin()->second + ", not a regular file";
  } else if (!list.strange_databases.empty()) {
    const auto& [database, text] = *list.strange_databases.begin();
    path = pg::DatabasePath(version, database.first, database.second);
    what = text + ", not a directory";
  } else {
    return {};
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}/{}\" is {}", directory, path, what));
}

namespace {

// A verification has three such objects for each of up to 64 partitions, and other files.
size_t MostOpenFiles() {
  constexpr size_t kObjects = 3 * 64, kOtherFiles = 128, kMost = 32;
  const size_t limit = OpenFileLimit();
  return limit < kOtherFiles ? 0 : std::min((limit - kOtherFiles) / kObjects, kMost);
}

}  // namespace

RelationFiles::RelationFiles(std::string directory, const pg::Version* version)
    : directory_(std::move(directory)), version_(version), most_open_(MostOpenFiles()) {}

// What is wrong with the file itself; else the machine is short of something.
Result<RelationFiles::Found> RelationFiles::Unreadable(Error error) {
  if (IsShortage(error.code)) return tl::unexpected(std::move(error));
  reason_ = std::move(error.message);
  return Found::kUnreadable;
}

Result<bool> RelationFiles::ReadOrFail(const BlockTag& tag, uint8_t* page) {
  ASSIGN_OR_RETURN(const Found found, Read(tag, page));
  if (found == Found::kUnreadable) return MakeError(ErrorCode::kIo, reason_);
  return found == Found::kPage;
}

Result<int> RelationFiles::Open(const BlockTag& tag) {
  BlockTag segment = tag;
  segment.block = tag.block / pg::kBlocksPerFile;
  if (auto found = open_.find(segment); found != open_.end()) return found->second.get();
  auto fd = pg::OpenClusterFile(directory_, pg::BlockFilePath(*version_, tag));
  if (!fd && fd.error().code != ErrorCode::kNotFound) return tl::unexpected(fd.error());
  if (open_.size() >= most_open_) open_.clear();
  return (open_[segment] = fd ? std::move(*fd) : FileDescriptor()).get();
}

Result<RelationFiles::Found> RelationFiles::Read(const BlockTag& tag, uint8_t* page) {
  auto found = ReadOpen(tag, page);
  if (most_open_ == 0) open_.clear();
  return found;
}

Result<RelationFiles::Found> RelationFiles::ReadOpen(const BlockTag& tag, uint8_t* page) {
  auto fd = Open(tag);
  if (!fd) return Unreadable(std::move(fd.error()));
  // A segment that is missing while the relation is there is the end of the relation.
  if (*fd < 0) return tag.block < pg::kBlocksPerFile ? Found::kNoFile : Found::kPastEnd;
  const off_t offset = static_cast<off_t>(tag.block % pg::kBlocksPerFile) * kBlockSize;
  const ssize_t got = pread(*fd, page, kBlockSize, offset);
  if (got < 0)
    return Unreadable(
        {ErrnoCode(errno), fmt::format("could not read file \"{}\": {}",
                                       pg::BlockFilePath(*version_, tag), std::strerror(errno))});
  return got == static_cast<ssize_t>(kBlockSize) ? Found::kPage : Found::kPastEnd;
}

}  // namespace neon_redo

// Files of the directory of changes: "log"; "pg_control", what it becomes; "target", which commits both; "done", once
// all but pg_control is in its place.
#include "cpp_core/restore/in_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/control_file.h"

namespace neon_redo {

namespace {

std::string PathOf(const std::string& backup, const char* name) {
  return fmt::format("{}/{}/{}", backup, kChangesDirectory, name);
}

Result<bool> IsThere(const std::string& path) {
  struct stat st;
  if (lstat(path.c_str(), &st) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return FileError("stat file", path);
}

Status WriteText(const std::string& path, std::string_view text) {
  return WriteFileDurably(path, Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

Result<std::string> ReadFileOf(const std::string& backup, std::string_view name) {
  return DataDirectory(backup)->ReadWhole(name, size_t{1} << 20);
}

}  // namespace

Result<FileDescriptor> LockInPlace(const std::string& backup) {
  FileDescriptor fd(open(backup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR))
    return fd;  // whoever opens it says why it is no backup
  if (!fd) return FileError("open directory", backup);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("another restore writes into \"{}\": wait for its end", backup));
}

Result<std::unique_ptr<LoggedDirectory>> BeginInPlace(const std::string& backup) {
  const OutputDirectory directory(backup);
  RETURN_IF_ERROR(directory.Remove(kChangesDirectory));
  RETURN_IF_ERROR(directory.MakeDirectory(kChangesDirectory));
  return LoggedDirectory::Make(backup, PathOf(backup, "log"));
}

Status CommitInPlace(const LoggedDirectory& log, std::string_view control,
                     std::string_view target) {
  RETURN_IF_ERROR(log.End());
  RETURN_IF_ERROR(WriteText(PathOf(log.path(), "pg_control"), control));
  RETURN_IF_ERROR(log.SyncDirectory("."));
  return WriteText(PathOf(log.path(), "target"), target);
}

Result<std::optional<std::string>> CommittedTarget(const std::string& backup) {
  ASSIGN_OR_RETURN(const bool is_there, IsThere(PathOf(backup, "target")));
  if (!is_there) return std::nullopt;
  ASSIGN_OR_RETURN(std::string target,
                   ReadFileOf(backup, fmt::format("{}/target", kChangesDirectory)));
  return target;
}

Result<bool> RemoveRest(const std::string& backup) {
  const OutputDirectory directory(backup);
  ASSIGN_OR_RETURN(const bool is_there, IsThere(directory.PathOf(kChangesDirectory)));
  ASSIGN_OR_RETURN(const bool has_label, IsThere(directory.PathOf(kBackupLabelFile)));
  if (!is_there || has_label) return false;
  RETURN_IF_ERROR(directory.Remove(kChangesDirectory));
  return true;
}

Status FinishInPlace(const std::string& backup, int jobs, bool syncs) {
  const OutputDirectory directory(backup);
  RETURN_IF_ERROR(OutputDirectory::CheckNoServer(backup));
  ASSIGN_OR_RETURN(const std::string text, ReadFileOf(backup, "PG_VERSION"));
  const pg::Version* version = pg::FindVersionByVersionFile(text);
  if (version == nullptr)
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("\"{}/PG_VERSION\" names a version that this program does not know", backup));
  ASSIGN_OR_RETURN(const bool is_done, IsThere(PathOf(backup, "done")));
  if (!is_done) {
    RETURN_IF_ERROR(directory.Remove(pg::kControlFile));
    if (syncs) RETURN_IF_ERROR(directory.SyncDirectory("global"));
    RETURN_IF_ERROR(ApplyChangeLog(PathOf(backup, "log"), *version, directory));
    RETURN_IF_ERROR(directory.GiveToOwner());
    if (syncs) RETURN_IF_ERROR(directory.Sync(jobs));
    RETURN_IF_ERROR(WriteText(PathOf(backup, "done"), ""));
  }
  ASSIGN_OR_RETURN(const bool has_control, IsThere(directory.PathOf(pg::kControlFile)));
  if (!has_control) {
    ASSIGN_OR_RETURN(const std::string control,
                     ReadFileOf(backup, fmt::format("{}/pg_control", kChangesDirectory)));
    RETURN_IF_ERROR(WriteText(directory.PathOf(pg::kControlFile), control));
    struct stat owner;
    if (geteuid() == 0 && stat(backup.c_str(), &owner) == 0 &&
        lchown(directory.PathOf(pg::kControlFile).c_str(), owner.st_uid, owner.st_gid) != 0)
      return FileError("set owner of", directory.PathOf(pg::kControlFile));
  }
  // Without "target" nothing is committed, so that nothing is done once more to a cluster that lives.
  RETURN_IF_ERROR(directory.Remove(fmt::format("{}/target", kChangesDirectory)));
  if (syncs) RETURN_IF_ERROR(directory.SyncDirectory(kChangesDirectory));
  return directory.Remove(kChangesDirectory);
}

}  // namespace neon_redo

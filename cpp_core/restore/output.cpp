#include "cpp_core/restore/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/data_directory.h"

namespace neon_redo {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark =
    "A restore into this directory has not ended. Run it again, or remove all.\n";

tl::unexpected<Error> PathError(const std::error_code& error, const char* verb,
                                const std::string& path) {
  errno = error.value();
  return FileError(verb, path);
}

Result<std::vector<std::string>> NamesIn(const std::string& path) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
    out.push_back(at->path().filename().string());
  if (error) return PathError(error, "read directory", path);
  return out;
}

Status SyncPath(const std::string& path, int flags) {
  // The caller's directories, and tablespaces, may be links.
  const int follow = flags & O_DIRECTORY ? 0 : O_NOFOLLOW;
  const FileDescriptor fd(open(path.c_str(), flags | O_CLOEXEC | follow));
  if (!fd || fsync(fd.get()) != 0) return FileError("flush file", path);
  return {};
}

// All files and directories, in no order. Links of tablespaces are followed, others are not.
Status ListBelow(const std::string& path, bool are_tablespaces, std::vector<std::string>* files,
                 std::vector<std::string>* directories) {
  directories->push_back(path);
  ASSIGN_OR_RETURN(const auto names, NamesIn(path));
  for (const std::string& name : names) {
    const std::string below = fmt::format("{}/{}", path, name);
    struct stat st;
    if (lstat(below.c_str(), &st) != 0) return FileError("stat file", below);
    const bool is_link = S_ISLNK(st.st_mode);
    if (is_link && are_tablespaces) {
      RETURN_IF_ERROR(ListBelow(below + "/.", false, files, directories));
    } else if (S_ISDIR(st.st_mode)) {
      RETURN_IF_ERROR(ListBelow(below, name == "pg_tblspc", files, directories));
    } else if (!is_link) {
      files->push_back(below);
    }
  }
  return {};
}

// The mark, locked. creates: there may be none yet; otherwise a restore that has ended meanwhile has removed it.
Result<FileDescriptor> TakeMark(const std::string& path, bool creates) {
  const std::string mark = fmt::format("{}/{}", path, kRestoringFile);
  FileDescriptor fd(
      open(mark.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | (creates ? O_CREAT : 0), 0600));
  if (!fd) return FileError("open file", mark);
  struct stat opened, named;
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || fstat(fd.get(), &opened) != 0 ||
      lstat(mark.c_str(), &named) != 0 || opened.st_ino != named.st_ino)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("another restore writes into \"{}\": wait for its end", path));
  RETURN_IF_ERROR(WriteAll(
      fd.get(), Bytes(reinterpret_cast<const uint8_t*>(kMark.data()), kMark.size()), 0, mark));
  return fd;
}

class DirectFile : public OutputFile {
 public:
  DirectFile(FileDescriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Status Write(uint64_t offset, Bytes bytes) override {
    return WriteAll(fd_.get(), bytes, offset, path_);
  }

 private:
  const FileDescriptor fd_;
  const std::string path_;
};

}  // namespace

std::string OutputDirectory::PathOf(std::string_view name) const {
  return fmt::format("{}/{}", path_, name);
}

Status OutputDirectory::CheckFree(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return FileError("stat directory", path);
  }
  if (!S_ISDIR(st.st_mode))
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no directory", path));
  ASSIGN_OR_RETURN(const auto names, NamesIn(path));
  if (names.empty()) return {};
  const bool is_marked = access(fmt::format("{}/{}", path, kRestoringFile).c_str(), F_OK) == 0;
  const bool has_control = access(fmt::format("{}/{}", path, pg::kControlFile).c_str(), F_OK) == 0;
  if (is_marked && !has_control) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("directory \"{}\" is not empty: give one that is, or a new one", path));
}

Result<FileDescriptor> OutputDirectory::Begin(const std::string& path) {
  RETURN_IF_ERROR(CheckFree(path));
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return PathError(error, "create directory", path);
  if (chmod(path.c_str(), 0700) != 0) return FileError("set permissions of directory", path);
  const OutputDirectory self(path);
  // The mark first, and what it speaks of after it.
  ASSIGN_OR_RETURN(const auto names, NamesIn(path));
  ASSIGN_OR_RETURN(FileDescriptor mark, TakeMark(path, names.empty()));
  for (const std::string& name : names)
    if (name != kRestoringFile) RETURN_IF_ERROR(self.Remove(name));
  RETURN_IF_ERROR(SyncPath(path, O_RDONLY | O_DIRECTORY));
  return mark;
}

Status OutputDirectory::CheckNoServer(const std::string& path) {
  ASSIGN_OR_RETURN(const auto server, FindServer(*DataDirectory(path)));
  if (!server) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("a server (process {}) runs on \"{}\": stop it", *server, path));
}

Status OutputDirectory::CheckDelta(const std::string& path, uint64_t system_identifier) {
  if (CheckFree(path)) return {};
  ASSIGN_OR_RETURN(const pg::ControlFile control, DataDirectory(path)->ControlFile());
  RETURN_IF_ERROR(CheckNoServer(path));
  if (control.system_identifier == system_identifier) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("\"{}\" holds another cluster than the backup: system identifiers {} and {}",
                  path, control.system_identifier, system_identifier));
}

Result<FileDescriptor> OutputDirectory::BeginDelta(const std::string& path,
                                                   uint64_t system_identifier) {
  RETURN_IF_ERROR(CheckDelta(path, system_identifier));
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return PathError(error, "create directory", path);
  if (chmod(path.c_str(), 0700) != 0) return FileError("set permissions of directory", path);
  const OutputDirectory self(path);
  ASSIGN_OR_RETURN(FileDescriptor mark, TakeMark(path, true));
  RETURN_IF_ERROR(SyncPath(path, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(self.Remove(pg::kControlFile));
  // WAL elsewhere is left alone, and the link to it goes.
  struct stat st;
  const bool is_link = lstat(self.PathOf("pg_wal").c_str(), &st) == 0 && S_ISLNK(st.st_mode);
  if (is_link) RETURN_IF_ERROR(self.Remove("pg_wal"));
  return mark;
}

Result<FileDescriptor> OutputDirectory::OpenFile(std::string_view name) const {
  const std::string path = PathOf(name);
  const auto try_open = [&path] {
    return open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  };
  FileDescriptor fd(try_open());
  if (!fd && errno == ENOENT) {
    RETURN_IF_ERROR(MakeDirectory(name.substr(0, name.rfind('/'))));
    fd.Reset(try_open());
  }
  if (!fd) return FileError("create file", path);
  return fd;
}

Result<std::unique_ptr<OutputFile>> OutputDirectory::Open(std::string_view name) const {
  ASSIGN_OR_RETURN(FileDescriptor fd, OpenFile(name));
  return std::make_unique<DirectFile>(std::move(fd), PathOf(name));
}

Status OutputDirectory::MakeDirectory(std::string_view name) const {
  const std::string path = PathOf(name);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return FileError("create directory", path);
  return {};
}

Status OutputDirectory::MakeLink(std::string_view name, const std::string& target) const {
  const std::string path = PathOf(name);
  if (symlink(target.c_str(), path.c_str()) != 0) return FileError("create symbolic link", path);
  return {};
}

Status OutputDirectory::Remove(std::string_view name) const {
  const std::string path = PathOf(name);
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return PathError(error, "remove", path);
  return {};
}

Status OutputDirectory::WriteFile(std::string_view name, std::string_view content) const {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenFile(name));
  const std::string path = PathOf(name);
  if (ftruncate(fd.get(), 0) != 0) return FileError("truncate file", path);
  return WriteAll(fd.get(), Bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size()),
                  0, path);
}

Status OutputDirectory::CutFork(const pg::Version& version, const BlockTag& fork,
                                uint32_t blocks) const {
  const uint32_t first = blocks / pg::kBlocksPerFile;
  for (uint32_t segment = first;; segment++) {
    BlockTag tag = fork;
    tag.block = segment * pg::kBlocksPerFile;
    const std::string path = PathOf(pg::BlockFilePath(version, tag));
    struct stat st;
    if (lstat(path.c_str(), &st) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return {};
      return FileError("stat file", path);
    }
    const uint64_t keep = segment == first ? uint64_t{blocks % pg::kBlocksPerFile} * kBlockSize : 0;
    if (keep == 0 && (blocks == 0 || segment > 0)) {
      if (unlink(path.c_str()) != 0) return FileError("remove file", path);
    } else if (static_cast<uint64_t>(st.st_size) > keep &&
               truncate(path.c_str(), static_cast<off_t>(keep)) != 0) {
      return FileError("truncate file", path);
    }
    if (segment == UINT32_MAX / pg::kBlocksPerFile) return {};
  }
}

Status OutputDirectory::FillFork(const pg::Version& version, const BlockTag& fork,
                                 uint32_t blocks) const {
  for (uint32_t segment = 0; segment < (blocks - 1) / pg::kBlocksPerFile; segment++) {
    BlockTag tag = fork;
    tag.block = segment * pg::kBlocksPerFile;
    const std::string name = pg::BlockFilePath(version, tag);
    ASSIGN_OR_RETURN(const FileDescriptor fd, OpenFile(name));
    constexpr off_t kFull = off_t{pg::kBlocksPerFile} * off_t{kBlockSize};
    struct stat st;
    if (fstat(fd.get(), &st) != 0) return FileError("stat file", PathOf(name));
    if (st.st_size < kFull && ftruncate(fd.get(), kFull) != 0)
      return FileError("extend file", PathOf(name));
  }
  return {};
}

Result<std::vector<std::string>> OutputDirectory::Names() const {
  std::vector<std::string> files, directories, out;
  RETURN_IF_ERROR(ListBelow(path_, false, &files, &directories));
  for (const std::string& file : files) {
    std::string name = file.substr(path_.size() + 1);
    // That of a link's target, see ListBelow.
    if (const size_t dot = name.find("/./"); dot != name.npos) name.erase(dot, 2);
    out.push_back(std::move(name));
  }
  std::sort(out.begin(), out.end());
  return out;
}

Status OutputDirectory::GiveToOwner() const {
  struct stat owner;
  if (stat(path_.c_str(), &owner) != 0) return FileError("stat directory", path_);
  if (geteuid() != 0) return {};
  std::vector<std::string> files, directories;
  RETURN_IF_ERROR(ListBelow(path_, false, &files, &directories));
  files.insert(files.end(), directories.begin(), directories.end());
  for (const std::string& file : files)
    if (lchown(file.c_str(), owner.st_uid, owner.st_gid) != 0)
      return FileError("set owner of", file);
  return {};
}

Status OutputDirectory::SyncDirectory(std::string_view name) const {
  return SyncPath(PathOf(name), O_RDONLY | O_DIRECTORY);
}

Status OutputDirectory::Sync(int jobs) const {
  std::vector<std::string> files, directories;
  RETURN_IF_ERROR(ListBelow(path_, false, &files, &directories));
  RETURN_IF_ERROR(
      ForEachInParallel(static_cast<size_t>(jobs), files.size(),
                        [&](size_t, size_t item) { return SyncPath(files[item], O_RDONLY); }));
  for (const std::string& directory : directories)
    RETURN_IF_ERROR(SyncPath(directory, O_RDONLY | O_DIRECTORY));
  return {};
}

Status OutputDirectory::Complete(const std::vector<std::string>& tablespaces,
                                 std::string_view temporary, std::string_view name,
                                 bool syncs) const {
  // A mark that comes back after a crash would make a live tablespace look like a rest.
  for (const std::string& tablespace : tablespaces) {
    RETURN_IF_ERROR(OutputDirectory(tablespace).Remove(kRestoringFile));
    if (syncs) RETURN_IF_ERROR(SyncPath(tablespace, O_RDONLY | O_DIRECTORY));
  }
  if (syncs) RETURN_IF_ERROR(SyncPath(path_ + "/..", O_RDONLY | O_DIRECTORY));
  if (rename(PathOf(temporary).c_str(), PathOf(name).c_str()) != 0)
    return FileError("rename file", PathOf(temporary));
  const std::string above(name.substr(0, name.rfind('/')));
  if (syncs) RETURN_IF_ERROR(SyncPath(PathOf(above), O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(Remove(kRestoringFile));
  if (syncs) RETURN_IF_ERROR(SyncPath(path_, O_RDONLY | O_DIRECTORY));
  return {};
}

}  // namespace neon_redo

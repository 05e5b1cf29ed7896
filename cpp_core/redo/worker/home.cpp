// A home is made in this order: unique directory, lock, files. A sweeper in another process may see
// the directory before the lock is there, take the lock itself and remove it; the maker notices
// that the lock is taken or the directory is gone and makes another.
#include "cpp_core/redo/worker/home.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"

namespace neon_redo {

namespace {

constexpr const char* kPrefix = "neon_redo_home.";

// Removes what is in a home by name, which is quicker than to look; looks when there is more. The
// worker's user may have put anything there, and we may be root: no step follows a symbolic link.
void RemoveHome(const std::string& path, int home) {
  const FileDescriptor global(
      openat(home, "global", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (global) {
    unlinkat(global.get(), "pg_control", 0);
    unlinkat(home, "global", AT_REMOVEDIR);
  }
  unlinkat(home, "pg_notify", AT_REMOVEDIR);
  for (const char* name :
       {"postmaster.pid", "postgresql.conf", "postgresql.auto.conf", "PG_VERSION"}) {
    unlinkat(home, name, 0);
  }
  if (rmdir(path.c_str()) == 0 || errno == ENOENT) return;
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

// An open, locked descriptor of the directory; none when it is gone, locked by another process, or
// owned by neither this user nor `owner`.
FileDescriptor LockDirectory(const std::string& path, uid_t owner) {
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status;
  if (fd && flock(fd.get(), LOCK_EX | LOCK_NB) == 0 && fstat(fd.get(), &status) == 0 &&
      status.st_nlink > 0 && (status.st_uid == geteuid() || status.st_uid == owner)) {
    return fd;
  }
  return FileDescriptor();
}

Status SystemError(const std::string& what) { return ErrnoError(errno, "could not " + what); }

// Files and directories are made relative to the open home, which cannot be swapped for another.
Status WriteFile(int home, const char* name, const std::string& content, HomeOwner owner) {
  const FileDescriptor fd(openat(home, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return SystemError(fmt::format("create \"{}\" of the worker's home", name));
  const bool fine = write(fd.get(), content.data(), content.size()) == std::ssize(content) &&
                    (owner.uid == geteuid() || fchown(fd.get(), owner.uid, owner.gid) == 0);
  return fine ? Status() : SystemError(fmt::format("write \"{}\" of the worker's home", name));
}

Status MakeDirectory(int home, const char* name, HomeOwner owner) {
  if (mkdirat(home, name, 0700) != 0 ||
      (owner.uid != geteuid() &&
       fchownat(home, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0)) {
    return SystemError(fmt::format("create directory \"{}\" of the worker's home", name));
  }
  return {};
}

Status Fill(int home, HomeOwner owner, const pg::Version& version) {
  Status status = WriteFile(home, "PG_VERSION", VersionFileText(version), owner);
  if (status) status = WriteFile(home, "postgresql.conf", "", owner);
  // Without it the server says so on stderr.
  if (status) status = WriteFile(home, "postgresql.auto.conf", "", owner);
  if (status) status = MakeDirectory(home, "global", owner);
  if (status && version.worker_needs_notify) status = MakeDirectory(home, "pg_notify", owner);
  if (status) status = WriteFile(home, pg::kControlFile, EmptyControlFile(version), owner);
  // Last: from here on only the owner and root may write to it.
  if (status && owner.uid != geteuid() && fchown(home, owner.uid, owner.gid) != 0) {
    status = SystemError("give the worker's home to its user");
  }
  return status;
}

}  // namespace

std::string HomeParentDirectory() {
  if (const char* directory = std::getenv("TMPDIR"); directory != nullptr && *directory != '\0') {
    return directory;
  }
  return access("/dev/shm", R_OK | W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

int RemoveStaleHomes(const std::string& directory, uid_t owner) {
  DIR* listing = opendir(directory.c_str());
  if (listing == nullptr) return 0;
  int removed = 0;
  while (const dirent* entry = readdir(listing)) {
    if (std::strncmp(entry->d_name, kPrefix, std::strlen(kPrefix)) != 0) continue;
    const std::string path = directory + "/" + entry->d_name;
    const FileDescriptor lock = LockDirectory(path, owner);
    if (!lock) continue;
    RemoveHome(path, lock.get());
    ++removed;
  }
  closedir(listing);
  return removed;
}

Result<WorkerHome> WorkerHome::Create(HomeOwner owner, const pg::Version& version) {
  const std::string parent = HomeParentDirectory();
  static std::once_flag swept;
  std::call_once(swept, RemoveStaleHomes, parent, owner.uid);
  for (int attempt = 0; attempt < 10; ++attempt) {
    std::string path = parent + "/" + kPrefix + "XXXXXX";
    if (mkdtemp(path.data()) == nullptr) {
      const int error = errno;
      return MakeError(ErrnoCode(error),
                       fmt::format("could not create a home for the redo worker in \"{}\": {} "
                                   "(set TMPDIR to use another directory)",
                                   parent, std::strerror(error)));
    }
    // Still this user's own: whoever may write to the parent can have put another in its place.
    FileDescriptor lock = LockDirectory(path, geteuid());
    if (!lock) continue;
    WorkerHome home(std::move(path), std::move(lock));  // from here on removed on any way out
    RETURN_IF_ERROR(Fill(home.lock_.get(), owner, version));
    return home;
  }
  return MakeError(ErrorCode::kIo,
                   fmt::format("could not lock a home for the redo worker in \"{}\"", parent));
}

WorkerHome::~WorkerHome() {
  if (lock_) RemoveHome(path_, lock_.get());
}

}  // namespace neon_redo

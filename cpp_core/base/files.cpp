// A file is durable when it and the directory entry that names it have been flushed, in this order
// (durable_rename in storage/file/fd.c).
#include "cpp_core/base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

tl::unexpected<Error> FileError(const char* verb, const std::string& path) {
  const int error = errno;
  const char* advice = error == ENOSPC ? "; make room, then start again" : "";
  return MakeError(ErrnoCode(error),
                   fmt::format("could not {} \"{}\": {}{}", verb, path, strerror(error), advice));
}

const char* FileKindName(const struct stat& st) {
  switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a FIFO";
    case S_IFSOCK:
      return "a socket";
    case S_IFLNK:
      return "a symbolic link";
    case S_IFREG:
      return "a file";
    default:
      return "a device";
  }
}

ssize_t ReadFully(int fd, uint8_t* out, size_t n, uint64_t offset) {
  size_t done = 0;
  while (done < n) {
    const ssize_t r = pread(fd, out + done, n - done, static_cast<off_t>(offset + done));
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return -1;
    if (r == 0) break;
    done += static_cast<size_t>(r);
  }
  return static_cast<ssize_t>(done);
}

Status WriteAll(int fd, Bytes bytes, uint64_t offset, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (n == 0) errno = ENOSPC;
      return FileError("write file", path);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Status SyncFile(int fd, const std::string& path) {
  if (fdatasync(fd) != 0) return FileError("flush file", path);
  return {};
}

std::string TemporaryDirectory() {
  const char* directory = std::getenv("TMPDIR");
  return directory != nullptr && *directory != '\0' ? directory : "/tmp";
}

// O_TMPFILE is not there on every file system.
Result<FileDescriptor> CreateNamelessFile(const std::string& directory) {
  FileDescriptor fd(open(directory.c_str(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600));
  if (!fd && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = directory + "/neon_redo.XXXXXX";
    fd.Reset(mkostemp(name.data(), O_CLOEXEC));
    if (fd) unlink(name.c_str());
  }
  if (!fd) return FileError("create a file for unpacked data in directory", directory);
  return fd;
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

SplitPath::SplitPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  name = slash == std::string::npos ? path : path.substr(slash + 1);
}

Status WriteFileDurably(const std::string& path, Bytes content) {
  const SplitPath split(path);
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(split.parent));
  return directory.WriteFile(split.name, content);
}

}  // namespace neon_redo

// A FIFO is opened without waiting for a writer (O_NONBLOCK), and fstat then says what it is.
#include "cpp_core/base/guarded_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

Result<std::string> ReadAll(const FileDescriptor& fd, const std::string& path, size_t limit) {
  std::string out;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError("read file", path);
    out.append(buffer, static_cast<size_t>(n));
    explicit_bzero(buffer, static_cast<size_t>(n));
    if (n == 0) return out;
    if (out.size() > limit) {
      WipeSecret(&out);
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("file \"{}\" is larger than {} bytes", path, limit));
    }
  }
}

Result<bool> IsDirectory(const std::string& path, Links links) {
  struct stat st;
  const bool is_there =
      links == Links::kFollow ? stat(path.c_str(), &st) == 0 : lstat(path.c_str(), &st) == 0;
  if (is_there) return S_ISDIR(st.st_mode);
  const int error = errno;
  if (error == ENOENT && lstat(path.c_str(), &st) != 0 && errno == ENOENT) return false;
  return ErrnoError(error, fmt::format("could not look into \"{}\"", path));
}

Result<FileDescriptor> OpenRegularFile(const std::string& path, Links links) {
  const int no_follow = links == Links::kRefuse ? O_NOFOLLOW : 0;
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | no_follow));
  if (fd.get() < 0 && errno == ELOOP && links == Links::kRefuse)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is a symbolic link, which is not followed", path));
  if (fd.get() < 0) {
    const bool missing = errno == ENOENT;
    auto error = FileError("open file", path);
    if (missing) error.value().code = ErrorCode::kNotFound;
    return error;
  }
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("examine file", path);
  if (!S_ISREG(st.st_mode))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is not a regular file", path));
  return fd;
}

Result<std::string> ReadRegularFile(const std::string& path, size_t limit, Links links) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenRegularFile(path, links));
  return ReadAll(fd, path, limit);
}

Result<std::string> ReadSecretFile(const std::string& path, const char* what, size_t limit) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenRegularFile(path, Links::kFollow));
  return ReadSecret(fd, path, what, limit);
}

Result<std::string> ReadSecret(const FileDescriptor& fd, const std::string& path, const char* what,
                               size_t limit) {
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("examine file", path);
  if (st.st_uid != geteuid() && st.st_uid != 0)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{} \"{}\" must be owned by the user who runs this program or by root", what,
                    path));
  const mode_t forbidden = st.st_uid == geteuid() ? 077 : 037;
  if (st.st_mode & forbidden)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} \"{}\" has group or world access; it should have permissions "
                                 "u=rw (0600) or less{}",
                                 what, path,
                                 st.st_uid == geteuid() ? ""
                                                        : ", or u=rw,g=r (0640) or less as "
                                                          "root's"));
  return ReadAll(fd, path, limit);
}

// It is emptied only once it is known to be the right one (no O_TRUNC).
Status WritePrivateFile(const std::string& path, Bytes content) {
  FileDescriptor fd(open(
      path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600));
  struct stat st;
  if (fd.get() < 0 && errno == ELOOP)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("could not write file \"{}\": it is a symbolic link", path));
  if (fd.get() < 0 || fstat(fd.get(), &st) != 0) return FileError("write file", path);
  if (S_ISCHR(st.st_mode)) {
    if (write(fd.get(), content.data(), content.size()) != std::ssize(content))
      return FileError("write file", path);
    return {};
  }
  if (!S_ISREG(st.st_mode) || st.st_nlink > 1 || st.st_uid != geteuid())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("could not write file \"{}\": there is something that is not a "
                                 "regular file of one link and of this user",
                                 path));
  if (fchmod(fd.get(), 0600) != 0 || ftruncate(fd.get(), 0) != 0)
    return FileError("write file", path);
  return WriteAll(fd.get(), content, 0, path);
}

void WipeSecret(std::string* secret) {
  explicit_bzero(secret->data(), secret->size());
  secret->clear();
}

}  // namespace neon_redo

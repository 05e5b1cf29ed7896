#include "cpp_core/base/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

tl::unexpected<Error> ErrorOf(const char* verb, const std::string& path) {
  const bool missing = errno == ENOENT;
  auto error = FileError(verb, path);
  if (missing) error.value().code = ErrorCode::kNotFound;
  return error;
}

}  // namespace

Result<Directory> Directory::Open(const std::string& path) {
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return ErrorOf("open directory", path);
  return Directory(path, std::move(fd));
}

// O_NONBLOCK: a FIFO in the file's place is opened without waiting, and refused.
Result<FileDescriptor> Directory::OpenFile(const std::string& name, int flags) const {
  FileDescriptor file(
      openat(fd(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.get() < 0 && errno != ELOOP) return ErrorOf("open file", PathOf(name));
  struct stat st;
  if (file.get() >= 0 && fstat(file.get(), &st) != 0)
    return FileError("examine file", PathOf(name));
  if (file.get() < 0 || !S_ISREG(st.st_mode))
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "\"{}\" is not a regular file of its own (a link?); move it away, then start again",
            PathOf(name)));
  if (st.st_nlink > 1 && (flags & O_ACCMODE) != O_RDONLY)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" has other hard links, whose content would change too; put "
                                 "a copy in its place, then start again",
                                 PathOf(name)));
  return file;
}

Result<FileDescriptor> Directory::CreateFile(const std::string& name) const {
  RETURN_IF_ERROR(Remove(name));
  return CreateNewFile(name);
}

Result<FileDescriptor> Directory::CreateNewFile(const std::string& name) const {
  FileDescriptor file(
      openat(fd(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0 && errno == EEXIST)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("file \"{}\" is already there", PathOf(name)));
  if (file.get() < 0) return FileError("create file", PathOf(name));
  return file;
}

Result<std::vector<std::string>> Directory::Names() const {
  // A descriptor of its own: the stream closes it, and keeps its position in it.
  FileDescriptor own(openat(fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(own ? fdopendir(own.get()) : nullptr, closedir);
  if (!stream) return FileError("open directory", path_);
  own.Release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return FileError("read directory", path_);
  return names;
}

bool Directory::Has(const std::string& name) const {
  struct stat st;
  return fstatat(fd(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

Status Directory::Rename(const std::string& from, const std::string& to) const {
  if (renameat(fd(), from.c_str(), fd(), to.c_str()) != 0)
    return FileError("rename file", PathOf(from));
  return {};
}

Status Directory::Remove(const std::string& name) const {
  if (unlinkat(fd(), name.c_str(), 0) != 0 && errno != ENOENT)
    return FileError("remove file", PathOf(name));
  return {};
}

Status Directory::Sync() const {
  if (fsync(fd()) != 0) return FileError("flush directory", path_);
  return {};
}

Status Directory::WriteFile(const std::string& name, Bytes content,
                            const std::string& temporary) const {
  ASSIGN_OR_RETURN(FileDescriptor file, CreateFile(temporary));
  Status done = WriteAll(file.get(), content, 0, PathOf(temporary));
  if (done) done = SyncFile(file.get(), PathOf(temporary));
  file.Reset();
  if (done) done = Rename(temporary, name);
  if (!done) {
    static_cast<void>(Remove(temporary));
    return done;
  }
  return Sync();
}

std::string Directory::OwnerWarning() const {
  struct stat st;
  if (geteuid() != 0 || fstat(fd(), &st) != 0 || st.st_uid == 0) return {};
  return fmt::format(
      "warning: running as root in directory \"{}\", which belongs to user {}; run as that user",
      path_, st.st_uid);
}

}  // namespace neon_redo

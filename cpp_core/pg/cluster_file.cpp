#include "cpp_core/pg/cluster_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo::pg {

namespace {

tl::unexpected<Error> OpenError(const std::string& path, int error) {
  if (error == ELOOP)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("could not open file \"{}\": it is, or lies below, a symbolic "
                                 "link, which is followed for a tablespace only",
                                 path));
  errno = error;
  const Error why = FileError("open file", path).value();
  const bool missing = error == ENOENT || error == ENOTDIR;
  return MakeError(missing ? ErrorCode::kNotFound : why.code, why.message);
}

// With O_DIRECTORY and O_NOFOLLOW a link fails as "not a directory".
int ErrorOfStep(int parent, const std::string& step, int error) {
  struct stat st;
  const bool is_link = error == ENOTDIR &&
                       fstatat(parent, step.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                       S_ISLNK(st.st_mode);
  return is_link ? ELOOP : error;
}

}  // namespace

Result<FileDescriptor> OpenClusterFile(const std::string& directory, std::string_view name) {
  const std::string path = fmt::format("{}/{}", directory, name);
  FileDescriptor at(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0) return OpenError(path, errno);
  for (size_t begin = 0;;) {
    const size_t slash = name.find('/', begin);
    if (slash == std::string_view::npos) {
      FileDescriptor file(openat(at.get(), std::string(name.substr(begin)).c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
      struct stat st;
      if (file.get() < 0 || fstat(file.get(), &st) != 0) return OpenError(path, errno);
      if (S_ISREG(st.st_mode)) return file;
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("could not open file \"{}\": it is not a regular file", path));
    }
    const std::string step(name.substr(begin, slash - begin));
    const int follow =
        begin == kTablespaceLinks.size() && name.starts_with(kTablespaceLinks) ? 0 : O_NOFOLLOW;
    FileDescriptor next(openat(at.get(), step.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | follow));
    if (next.get() < 0) return OpenError(path, ErrorOfStep(at.get(), step, errno));
    at = std::move(next);
    begin = slash + 1;
  }
}

Result<std::string> ReadClusterFile(const std::string& directory, std::string_view name,
                                    size_t limit) {
  ASSIGN_OR_RETURN(const auto file, OpenClusterFile(directory, name));
  auto content = ReadAll(file, fmt::format("{}/{}", directory, name), limit);
  if (!content && content.error().code == ErrorCode::kInvalidArgument)
    return MakeError(ErrorCode::kCorrupt, content.error().message);
  return content;
}

std::map<uint32_t, std::string> TablespaceLinks(const std::string& directory) {
  std::map<uint32_t, std::string> links;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(
           directory + "/" + std::string(kTablespaceLinks), error)) {
    const auto oid = ParseOid(entry.path().filename().string());
    if (oid && entry.is_symlink(error))
      links[*oid] = std::filesystem::read_symlink(entry.path(), error).string();
  }
  return links;
}

}  // namespace neon_redo::pg

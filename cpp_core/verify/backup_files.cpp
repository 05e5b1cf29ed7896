// A directory is read and closed before those in it are opened, so that one is open at a time.
#include "cpp_core/verify/backup_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <vector>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/data_directory.h"

namespace neon_redo {

namespace {

constexpr int kMostLevels = 32;  // of directories in each other; a cluster has six

class BackupLister {
 public:
  BackupLister(const std::string& directory, const pg::Version& version)
      : directory_(directory), version_(version) {}

  Result<BackupFileList> List() {
    RETURN_IF_ERROR(ListBelow("", 0));
    return std::move(out_);
  }

 private:
  std::string PathOf(const std::string& name) const {
    return name.empty() ? directory_ : directory_ + "/" + name;
  }

  // below: empty, or the directory's path with a slash after it.
  Status ListBelow(const std::string& below, int level) {
    if (level > kMostLevels)
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("\"{}\" has more than {} directories in each other",
                                   PathOf(below), kMostLevels));
    std::vector<std::string> directories, links;
    {
      ASSIGN_OR_RETURN(const Directory directory, Directory::Open(PathOf(below)));
      ASSIGN_OR_RETURN(const auto names, directory.Names());
      for (const std::string& name : names) {
        const std::string path = below + name;
        struct stat st;
        if (path == "pg_wal") continue;
        if (fstatat(directory.fd(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
          if (errno != ENOENT) return FileError("stat file", PathOf(path));
        } else if (below == "pg_tblspc/" && pg::ParseOid(name)) {
          links.push_back(name);
        } else if (S_ISDIR(st.st_mode)) {
          directories.push_back(path + "/");
        } else {
          out_.files[path] = {static_cast<uint64_t>(st.st_size),
                              S_ISREG(st.st_mode) ? "" : FileKindName(st)};
        }
      }
    }
    for (const std::string& name : links) RETURN_IF_ERROR(ListTablespace(name, level + 1));
    for (const std::string& path : directories) RETURN_IF_ERROR(ListBelow(path, level + 1));
    return {};
  }

  Status ListTablespace(const std::string& name, int level) {
    BackupTablespace& tablespace = out_.tablespaces[*pg::ParseOid(name)];
    const std::string path = "pg_tblspc/" + name;
    char target[PATH_MAX];
    const ssize_t length = readlink(PathOf(path).c_str(), target, sizeof(target));
    if (length >= 0) tablespace.target.assign(target, static_cast<size_t>(length));
    struct stat st;
    if (stat(PathOf(path).c_str(), &st) != 0 && errno != ENOENT && errno != ELOOP &&
        errno != ENOTDIR)
      return FileError("stat file", PathOf(path));
    if (stat(PathOf(path).c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
      tablespace.state = BackupTablespace::kBroken;
      return {};
    }
    const std::string below = fmt::format("{}/{}", path, version_.tablespace_directory);
    if (lstat(PathOf(below).c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
      if (errno == EACCES) return FileError("stat file", PathOf(below));
      tablespace.state = BackupTablespace::kNoVersion;
      return {};
    }
    return ListBelow(below + "/", level);
  }

  const std::string& directory_;
  const pg::Version& version_;
  BackupFileList out_;
};

}  // namespace

Result<BackupFileList> ListBackupFiles(const std::string& directory, const pg::Version& version) {
  return BackupLister(directory, version).List();
}

std::optional<BlockTag> ParseRelationPath(const pg::Version& version, std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return std::nullopt;
  const auto name = pg::ParseRelationFileName(path.substr(slash + 1));
  if (!name) return std::nullopt;
  const std::string_view parent = path.substr(0, slash);
  BlockTag tag{
      {pg::kGlobalTablespace, 0, name->rel}, name->fork, name->segment * pg::kBlocksPerFile};
  if (parent == "global") return tag;
  const size_t before = parent.rfind('/');
  if (before == parent.npos) return std::nullopt;
  const auto db = pg::ParseOid(parent.substr(before + 1));
  std::string_view above = parent.substr(0, before);
  if (!db) return std::nullopt;
  tag.rel.db = *db;
  tag.rel.spc = pg::kDefaultTablespace;
  if (above == "base") return tag;
  constexpr std::string_view kLinks = "pg_tblspc/";
  const std::string version_part = fmt::format("/{}", version.tablespace_directory);
  if (!above.starts_with(kLinks) || !above.ends_with(version_part) ||
      above.size() < kLinks.size() + version_part.size())
    return std::nullopt;
  const auto spc =
      pg::ParseOid(above.substr(kLinks.size(), above.size() - kLinks.size() - version_part.size()));
  if (!spc) return std::nullopt;
  tag.rel.spc = *spc;
  return tag;
}

}  // namespace neon_redo

// A directory is read and closed before those in it are opened, so that one is open at a time.
#include "cpp_core/backup/plain_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>

#include "cpp_core/backup/range_file.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/cluster_file.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

constexpr int kMostLevels = 32;  // of directories in each other; a cluster has six

class PlainLister {
 public:
  // data_only: looks at nothing but what pg::HoldsData.
  PlainLister(const pg::Version& version, const std::map<uint32_t, TablespaceBeside>& beside,
              bool data_only)
      : version_(version), beside_(beside), data_only_(data_only) {}

  // `below` is the name of what lies in `path`: empty, or with a slash at its end.
  Status ListBelow(const std::string& path, const std::string& below, int level = 0) {
    const auto path_of = [&path](const std::string& name) {
      return fmt::format("{}/{}", path, name);
    };
    if (level > kMostLevels)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("\"{}\" has more than {} directories in each other", path, kMostLevels));
    std::vector<std::string> directories, links;
    {
      ASSIGN_OR_RETURN(const Directory directory, Directory::Open(path));
      ASSIGN_OR_RETURN(const auto names, directory.Names());
      for (const std::string& name : names) {
        if (data_only_ && !pg::HoldsData(below + name + "/")) continue;
        struct stat st;
        if (fstatat(directory.fd(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
          if (errno != ENOENT) return FileError("stat file", path_of(name));
        } else if (below == pg::kTablespaceLinks && pg::ParseOid(name)) {
          if (!beside_.contains(*pg::ParseOid(name))) links.push_back(name);
        } else if (below.empty() && name == "pg_wal" && S_ISLNK(st.st_mode)) {
          out_.directories.insert(name);  // initdb --waldir; its target is no part of the backup
        } else if (S_ISDIR(st.st_mode)) {
          directories.push_back(name);
        } else {
          out_.files[below + name] = {static_cast<uint64_t>(st.st_size),
                                      S_ISREG(st.st_mode) ? "" : FileKindName(st)};
        }
      }
    }
    for (const std::string& name : links)
      RETURN_IF_ERROR(
          ListTablespace(*pg::ParseOid(name), path_of(name), Links::kFollow, level + 1));
    for (const std::string& name : directories) {
      out_.directories.insert(below + name);
      RETURN_IF_ERROR(ListIfThere(path_of(name), below + name, level + 1));
    }
    return {};
  }

  // The same of a directory that a server may have removed since.
  Status ListIfThere(const std::string& path, const std::string& name, int level) {
    Status listed = ListBelow(path, name + "/", level);
    const bool is_gone = !listed && access(path.c_str(), F_OK) != 0 && errno == ENOENT;
    if (is_gone) {
      const auto is_in = [&](const std::string& other) {
        return other == name || other.starts_with(name + "/");
      };
      std::erase_if(out_.directories, is_in);
      std::erase_if(out_.files, [&](const auto& file) { return is_in(file.first); });
    }
    return is_gone ? Status() : listed;
  }

  // links: what becomes of one at `path`.
  Status ListTablespace(uint32_t oid, const std::string& path, Links links, int level) {
    BaseTablespace& tablespace = out_.tablespaces[oid];
    char target[PATH_MAX];
    const ssize_t length = readlink(path.c_str(), target, sizeof(target));
    if (length >= 0) tablespace.target.assign(target, static_cast<size_t>(length));
    struct stat st;
    const int follow = links == Links::kFollow ? 0 : AT_SYMLINK_NOFOLLOW;
    const bool is_there = fstatat(AT_FDCWD, path.c_str(), &st, follow) == 0;
    if (!is_there && errno != ENOENT && errno != ELOOP && errno != ENOTDIR)
      return FileError("stat file", path);
    if (!is_there || !S_ISDIR(st.st_mode)) {
      tablespace.state = BaseTablespace::kBroken;
      return {};
    }
    const std::string name = fmt::format("{}{}", pg::kTablespaceLinks, oid);
    const std::string below = fmt::format("{}/{}", path, version_.tablespace_directory);
    ASSIGN_OR_RETURN(const bool has_version, IsDirectory(below, Links::kRefuse));
    if (!has_version) {
      tablespace.state = BaseTablespace::kNoVersion;
      return {};
    }
    const std::string version = fmt::format("{}/{}", name, version_.tablespace_directory);
    out_.directories.insert({name, version});
    return ListIfThere(below, version, level);
  }

  BaseFiles Take() { return std::move(out_); }
  BaseFiles& out() { return out_; }

 private:
  const pg::Version& version_;
  const std::map<uint32_t, TablespaceBeside>& beside_;
  const bool data_only_;
  BaseFiles out_;
};

std::string DataOf(const PlainLayout& layout) {
  return layout.data.empty() ? layout.directory : layout.directory + "/" + layout.data;
}

class PlainBackup : public BaseBackup {
 public:
  explicit PlainBackup(PlainLayout layout)
      : BaseBackup(layout.directory), layout_(std::move(layout)), data_(DataOf(layout_)) {}

  std::string kind() const override {
    return layout_.tool.empty() ? "a plain directory"
                                : fmt::format("a plain directory by {}", layout_.tool);
  }

  bool may_be_copy() const override { return layout_.tool.empty(); }

  Result<BaseFiles> List() const override { return ListAll(false); }
  Result<BaseFiles> ListData() const override { return ListAll(true); }

  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const override {
    ASSIGN_OR_RETURN(auto fd, OpenNamed(name));
    return MakeRangeFile(Share(std::move(fd)), 0, UINT64_MAX, fmt::format("{}/{}", data_, name));
  }

  Result<std::optional<FileDescriptor>> OpenAsItIs(std::string_view name) const override {
    ASSIGN_OR_RETURN(auto fd, OpenNamed(name));
    return fd;
  }

  Result<StoredFiles> Stored(const BaseFiles& list) const override {
    StoredFiles out;
    for (const auto& [name, file] : list.files) {
      const Place place = PlaceOf(name);
      out[fmt::format("{}/{}", place.directory, place.name)] = {name};
    }
    return out;
  }

 private:
  struct Place {
    std::string directory, name;
  };
  Place PlaceOf(std::string_view name) const {
    for (const auto& [oid, beside] : layout_.beside) {
      const std::string below = fmt::format("{}{}/", pg::kTablespaceLinks, oid);
      if (name.starts_with(below))
        return {layout_.directory, fmt::format("{}/{}", beside.name, name.substr(below.size()))};
    }
    return {data_, std::string(name)};
  }

  Result<BaseFiles> ListAll(bool data_only) const {
    ASSIGN_OR_RETURN(const auto control, ControlFile());
    return ListPlainFiles(layout_, *control.version, data_only);
  }

  Result<FileDescriptor> OpenNamed(std::string_view name) const {
    if (!IsSafeRelativePath(name))
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("\"{}\" is no name of a file in a backup", name));
    const Place place = PlaceOf(name);
    return pg::OpenClusterFile(place.directory, place.name);
  }

  const PlainLayout layout_;
  const std::string data_;
};

}  // namespace

Result<BaseFiles> ListPlainFiles(const PlainLayout& layout, const pg::Version& version,
                                 bool data_only) {
  PlainLister lister(version, layout.beside, data_only);
  RETURN_IF_ERROR(lister.ListBelow(DataOf(layout), ""));
  for (const auto& [oid, beside] : layout.beside) {
    RETURN_IF_ERROR(
        lister.ListTablespace(oid, layout.directory + "/" + beside.name, Links::kRefuse, 0));
    lister.out().tablespaces[oid].target = beside.target;
  }
  return lister.Take();
}

Result<std::unique_ptr<BaseBackup>> OpenPlainBackup(PlainLayout layout) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(layout.directory));
  const std::string data = layout.data.empty() ? "" : layout.data + "/";
  bool is_one = false;  // one of these may be what the backup has lost
  for (const char* name : {"PG_VERSION", pg::kControlFile, kBackupLabelFile}) {
    if (is_one) break;
    struct stat st;
    const bool is_there =
        fstatat(directory.fd(), (data + name).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there && errno != ENOENT && errno != ENOTDIR)
      return FileError("stat file", directory.PathOf(data + name));
    is_one = is_there;
  }
  if (!is_one)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is no base backup of a known kind: it has none of "
                                 "PG_VERSION, global/pg_control, backup_label and base.tar",
                                 layout.directory));
  return std::make_unique<PlainBackup>(std::move(layout));
}

std::unique_ptr<BaseBackup> DataDirectory(std::string directory) {
  return std::make_unique<PlainBackup>(PlainLayout{std::move(directory), "", {}, ""});
}

}  // namespace neon_redo

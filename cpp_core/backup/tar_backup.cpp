#include "cpp_core/backup/tar_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "cpp_core/backup/range_file.h"
#include "cpp_core/backup/spool.h"
#include "cpp_core/backup/tar_reader.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/file_identity.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

constexpr const char* kWal = "pg_wal/";
constexpr size_t kMaxTablespaceMap = 1 << 20;

// Where a file's bytes lie.
struct Place {
  uint32_t archive = 0;  // of TarLayout::archives
  uint64_t begin = 0;    // in the archive, or in the spool if that is packed
  uint64_t size = 0;
};

// Nothing: it is none of pg_basebackup's archives.
std::optional<TarArchive> ParseArchiveName(const std::string& name) {
  TarArchive out{name, "", PackingOfName(name).value_or(Packing::kNone)};
  std::string_view stem = name;
  stem.remove_suffix(std::string_view(PackingSuffix(out.packing)).size());
  if (!stem.ends_with(".tar")) return std::nullopt;
  stem.remove_suffix(4);
  if (stem == "pg_wal")
    out.below = kWal;
  else if (const auto oid = pg::ParseOid(stem))
    out.below = fmt::format("{}{}/", pg::kTablespaceLinks, *oid);
  else if (stem != "base")
    return std::nullopt;
  return out;
}

class TarBackup : public BaseBackup {
 public:
  TarBackup(TarLayout layout, Directory directory, const BaseBackupOptions& options)
      : BaseBackup(layout.directory),
        layout_(std::move(layout)),
        directory_(std::move(directory)),
        spool_directory_(options.spool_directory),
        awaits_age_(options.awaits_age) {}

  Status Index() {
    for (uint32_t i = 0; i < layout_.archives.size(); i++) {
      RETURN_IF_ERROR(IndexArchive(i));
      if (const auto oid = TablespaceOf(layout_.archives[i].below)) files_.tablespaces[*oid];
    }
    RETURN_IF_ERROR(AddTablespaceMap());
    return IndexManifest();
  }

  std::string kind() const override {
    return layout_.tool.empty() ? "a backup in tar format"
                                : fmt::format("a backup in tar format by {}", layout_.tool);
  }
  Result<BaseFiles> List() const override { return files_; }
  size_t descriptors() const override { return 0; }
  uint64_t spooled() const override { return spool_ ? spool_->size() : 0; }

  Result<StoredFiles> Stored(const BaseFiles& list) const override {
    StoredFiles out;
    for (const auto& [name, file] : list.files) {
      const auto found = places_.find(name);
      if (found == places_.end()) continue;
      const uint32_t archive = found->second.archive;
      out[directory_.PathOf(archive == kManifest ? kManifestFile : layout_.archives[archive].name)]
          .push_back(name);
    }
    for (const auto& [path, names] : out) RETURN_IF_ERROR(before_.at(path).CheckSame());
    return out;
  }

  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const override {
    const auto found = places_.find(std::string(name));
    if (found == places_.end()) {
      const bool is_strange = files_.files.contains(std::string(name));
      return MakeError(is_strange ? ErrorCode::kInvalidArgument : ErrorCode::kNotFound,
                       fmt::format("could not open {}: {}", Where(name),
                                   is_strange ? "it is not a regular file" : "it is not there"));
    }
    const Place& place = found->second;
    if (place.archive == kManifest) return MakeRangeFile(manifest_, 0, place.size, Where(name));
    const TarArchive& archive = layout_.archives[place.archive];
    return MakeRangeFile(
        archive.packing == Packing::kNone ? opened_[place.archive] : spool_->file(), place.begin,
        place.size, fmt::format("{}/{} ({})", path(), archive.name, name));
  }

 private:
  static constexpr uint32_t kManifest = UINT32_MAX;  // a file of its own

  static std::optional<uint32_t> TablespaceOf(std::string_view below) {
    if (!below.starts_with(pg::kTablespaceLinks) || !below.ends_with('/')) return std::nullopt;
    return pg::ParseOid(
        below.substr(pg::kTablespaceLinks.size(), below.size() - pg::kTablespaceLinks.size() - 1));
  }

  // Before a file of the backup is opened.
  Status Remember(const std::string& path) {
    ASSIGN_OR_RETURN(before_[path], FileBefore::LookAt(path, awaits_age_));
    return {};
  }

  // The archives have no links: tablespace_map says which tablespaces there were.
  Status AddTablespaceMap() {
    ASSIGN_OR_RETURN(const auto map, ReadIfThere(kTablespaceMapFile, kMaxTablespaceMap));
    if (!map) return {};
    for (auto& [oid, target] : ParseTablespaceMap(*map)) {
      const bool is_there = files_.tablespaces.contains(oid);
      BaseTablespace& tablespace = files_.tablespaces[oid];
      tablespace.target = std::move(target);
      if (!is_there) tablespace.state = BaseTablespace::kBroken;
    }
    return {};
  }

  Status IndexArchive(uint32_t number) {
    const TarArchive& archive = layout_.archives[number];
    const std::string archive_path = directory_.PathOf(archive.name);
    RETURN_IF_ERROR(Remember(archive_path));
    ASSIGN_OR_RETURN(auto fd, directory_.OpenFile(archive.name, O_RDONLY));
    opened_.push_back(Share(std::move(fd)));
    if (archive.packing != Packing::kNone && !spool_) {
      ASSIGN_OR_RETURN(spool_, Spool::Create(spool_directory_));
    }
    auto bytes = Unpack(ReadRange(opened_.back(), 0, UINT64_MAX, archive_path), archive.packing,
                        fmt::format("\"{}\"", archive_path));
    ASSIGN_OR_RETURN(const auto tar,
                     TarReader::Open(std::move(bytes), archive_path, layout_.names));
    bool has_entries = false;
    for (TarEntry entry;; has_entries = true) {
      ASSIGN_OR_RETURN(const bool is_there, tar->Next(&entry));
      if (!is_there) break;
      if (entry.name.empty()) continue;
      RETURN_IF_ERROR(AddEntry(number, archive_path, entry, tar->content()));
    }
    if (!has_entries && archive.below != kWal)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("archive \"{}\" is damaged: it has only zeroes", archive_path));
    if (archive.packing != Packing::kNone) opened_.back().reset();
    return {};
  }

  Status AddEntry(uint32_t number, const std::string& archive_path, const TarEntry& entry,
                  ByteSource* content) {
    const TarArchive& archive = layout_.archives[number];
    const std::string name = archive.below + entry.name;
    if (entry.kind == TarEntry::kDirectory) {
      files_.directories.insert(name);
      return {};
    }
    if (layout_.wanted && !layout_.wanted(name)) return {};
    if (archive.replaces) {
      files_.files.erase(name);
      places_.erase(name);
    }
    if (!files_.files.insert({name, {entry.size, entry.what}}).second)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("archive \"{}\" is damaged at byte {}: \"{}\" is there twice",
                                   archive_path, entry.begin, name));
    if (entry.kind != TarEntry::kFile) return {};
    Place place{number, entry.begin, entry.size};
    if (archive.packing != Packing::kNone) {
      const std::string what = fmt::format("entry \"{}\" of archive \"{}\"", name, archive_path);
      ASSIGN_OR_RETURN(place.begin, spool_->Take(content, entry.size, what));
    }
    places_.insert({name, place});
    return {};
  }

  // It lies beside the archives; one in base.tar goes first.
  Status IndexManifest() {
    if (files_.files.contains(kManifestFile)) return {};
    RETURN_IF_ERROR(Remember(directory_.PathOf(kManifestFile)));
    auto fd = directory_.OpenFile(kManifestFile, O_RDONLY);
    if (!fd && fd.error().code == ErrorCode::kNotFound) return {};
    if (!fd) return tl::unexpected(fd.error());
    ASSIGN_OR_RETURN(const uint64_t size, FileSize(fd->get(), directory_.PathOf(kManifestFile)));
    manifest_ = Share(std::move(*fd));
    files_.files[kManifestFile] = {size, ""};
    places_[kManifestFile] = {kManifest, 0, size};
    return {};
  }

  const TarLayout layout_;
  const Directory directory_;
  const std::string spool_directory_;
  const bool awaits_age_;
  std::unordered_map<std::string, FileBefore> before_;  // by path
  std::vector<SharedFile> opened_;  // by archive; null: it was packed and is in the spool
  SharedFile manifest_;
  std::unique_ptr<Spool> spool_;
  BaseFiles files_;
  std::unordered_map<std::string, Place> places_;
};

}  // namespace

Result<std::optional<TarLayout>> FindTarBackup(const std::string& path) {
  TarLayout layout{path, {}, {}};
  struct stat st;
  if (stat(path.c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) {
    const SplitPath split(path);
    const auto archive = ParseArchiveName(split.name);
    if (!S_ISREG(st.st_mode) || !archive || !archive->below.empty())
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("\"{}\" is no base backup of a known kind: it is neither a "
                                   "directory nor a base.tar",
                                   path));
    layout.directory = split.parent;
  }
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(layout.directory));
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  bool has_base = false;
  for (const std::string& name : names) {
    const auto archive = ParseArchiveName(name);
    if (!archive) continue;
    has_base = has_base || archive->below.empty();
    for (const TarArchive& other : layout.archives)
      if (other.below == archive->below)
        return MakeError(
            ErrorCode::kInvalidArgument,
            fmt::format("directory \"{}\" has both {} and {}: move one of them away",
                        layout.directory, std::min(other.name, name), std::max(other.name, name)));
    layout.archives.push_back(*archive);
  }
  if (!has_base) return std::nullopt;
  std::sort(layout.archives.begin(), layout.archives.end(),
            [](const TarArchive& a, const TarArchive& b) { return a.below < b.below; });
  return layout;
}

Result<std::unique_ptr<BaseBackup>> OpenTarBackup(TarLayout layout,
                                                  const BaseBackupOptions& options) {
  ASSIGN_OR_RETURN(Directory directory, Directory::Open(layout.directory));
  auto backup = std::make_unique<TarBackup>(std::move(layout), std::move(directory), options);
  RETURN_IF_ERROR(backup->Index());
  return backup;
}

}  // namespace neon_redo

#include "cpp_core/backup/walg_repository.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "cpp_core/backup/manifest.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr const char* kBackups = "basebackups_005";
constexpr std::string_view kSentinelSuffix = "_backup_stop_sentinel.json";
constexpr const char* kArchives = "tar_partitions";
constexpr size_t kMaxMetadata = size_t{1} << 30;  // some million files

std::string SentinelOf(const std::string& directory, const std::string& name) {
  return fmt::format("{}/{}{}", directory, name, kSentinelSuffix);
}

// Of complete backups of PostgreSQL: the sentinel is written last.
Result<std::vector<std::string>> ListBackups(const std::string& path) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(path));
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  std::vector<std::string> out;
  for (std::string name : names) {
    if (!name.ends_with(kSentinelSuffix)) continue;
    name.resize(name.size() - kSentinelSuffix.size());
    if (IsWalgName(name)) out.push_back(std::move(name));
  }
  return out;
}

struct ReadSentinel {
  WalgSentinel sentinel;
  std::string text;
};

Result<ReadSentinel> Sentinel(const std::string& directory, const std::string& name) {
  const std::string path = SentinelOf(directory, name);
  ASSIGN_OR_RETURN(std::string text, ReadRegularFile(path, kMaxMetadata, Links::kRefuse));
  ASSIGN_OR_RETURN(auto sentinel, ParseWalgSentinel(text, fmt::format("\"{}\"", path)));
  return ReadSentinel{std::move(sentinel), std::move(text)};
}

// "base_", timeline and segment.
std::string_view SegmentOf(std::string_view name) { return name.substr(0, 29); }

Result<std::string> Newest(const std::string& directory, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  std::string newest = names.back();
  std::optional<Lsn> at;
  for (const std::string& name : names) {
    if (SegmentOf(name) != SegmentOf(names.back())) continue;
    ASSIGN_OR_RETURN(const auto read, Sentinel(directory, name));
    if (at && *at >= read.sentinel.start) continue;
    at = read.sentinel.start;
    newest = name;
  }
  return newest;
}

Result<WalgLayout> Choose(const std::string& directory, std::vector<std::string> names,
                          const std::string& label) {
  if (names.empty())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" has no complete WAL-G backup of PostgreSQL: it has no "
                                 "file base_…{}",
                                 directory, kSentinelSuffix));
  if (label.empty() || label == "latest" || label == "LATEST") {
    ASSIGN_OR_RETURN(std::string newest, Newest(directory, std::move(names)));
    return WalgLayout{directory, std::move(newest)};
  }
  if (std::find(names.begin(), names.end(), label) != names.end())
    return WalgLayout{directory, label};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}\" has no complete backup \"{}\"", directory, label));
}

// files_metadata.json; or of an old version the same in the sentinel. Even older ones have no list
// (GetSentinelAndFilesMetadata in internal/databases/postgres/backup.go).
Result<WalgFiles> ReadFiles(const std::string& directory, const std::string& name,
                            const ReadSentinel& read) {
  if (read.sentinel.has_no_files_metadata) return WalgFiles();
  const std::string path = fmt::format("{}/{}/{}", directory, name, kWalgFilesName);
  const auto text = ReadRegularFile(path, kMaxMetadata, Links::kRefuse);
  if (!text && text.error().code != ErrorCode::kNotFound) return tl::unexpected(text.error());
  if (!text && read.sentinel.has_own_file_list)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the backup \"{}\" in \"{}\" is not complete: {}, without which "
                                 "WAL-G does not restore it, is missing",
                                 name, directory, kWalgFilesName));
  const std::string where = fmt::format("\"{}\"", text ? path : SentinelOf(directory, name));
  return ParseWalgFiles(text ? *text : read.text, where);
}

// `older` is the backup that the newer one means.
Status CheckLink(const std::string& directory, const WalgLink& newer, const WalgLink& older) {
  const auto differ = [&](const std::string& why) {
    return MakeError(
        ErrorCode::kCorrupt,
        fmt::format("the backup \"{}\" in \"{}\" does not build upon the \"{}\" that is "
                    "there: {}",
                    newer.name, directory, older.name, why));
  };
  if (newer.sentinel.delta && *newer.sentinel.delta != older.sentinel.start)
    return differ(fmt::format("that begins at {}, and should begin at {}",
                              older.sentinel.start.ToString(), newer.sentinel.delta->ToString()));
  if (newer.sentinel.system_identifier && older.sentinel.system_identifier &&
      *newer.sentinel.system_identifier != *older.sentinel.system_identifier)
    return differ("they are of different clusters");
  return {};
}

// Whether it begins as a tar archive once it is unpacked.
Result<bool> BeginsAsTar(const Directory& directory, const TarArchive& archive) {
  constexpr size_t kAt = 257;
  constexpr std::string_view kMark = "ustar";
  const std::string path = directory.PathOf(archive.name);
  ASSIGN_OR_RETURN(auto fd, directory.OpenFile(archive.name, O_RDONLY));
  const auto source =
      Unpack(ReadRange(Share(std::move(fd)), 0, UINT64_MAX, path), archive.packing, path);
  uint8_t start[kAt + kMark.size()];
  const auto got = ReadFully(source.get(), start);
  if (!got && got.error().code != ErrorCode::kCorrupt) return tl::unexpected(got.error());
  return got && *got == sizeof(start) && std::equal(kMark.begin(), kMark.end(), start + kAt);
}

Status CheckNotEncrypted(const Directory& directory, const TarLayout& layout) {
  for (const TarArchive& archive : layout.archives) {
    ASSIGN_OR_RETURN(const bool is_tar, BeginsAsTar(directory, archive));
    if (is_tar) return {};
  }
  return MakeError(
      ErrorCode::kUnsupported,
      fmt::format("no archive in \"{}\" begins as a tar archive by its name: they are encrypted "
                  "(WALG_LIBSODIUM_KEY, WALG_PGP_KEY), which is not read, or damaged; restore "
                  "the backup with wal-g backup-fetch, and give the restored directory",
                  layout.directory));
}

}  // namespace

std::optional<WalgFileState> WalgLink::Find(std::string_view file) const {
  if (files.empty()) return WalgFileState::kWhole;
  const auto found = files.find(file);
  return found == files.end() ? std::nullopt : std::optional(found->second);
}

Result<std::optional<WalgLayout>> FindWalgBackup(const std::string& path,
                                                 const BaseBackupOptions& options) {
  const std::string given = WithoutSlash(path);
  ASSIGN_OR_RETURN(const bool is_storage, IsDirectory(given + "/" + kBackups, Links::kRefuse));
  ASSIGN_OR_RETURN(const bool is_backup, IsDirectory(given + "/" + kArchives, Links::kRefuse));
  std::string directory = is_storage ? given + "/" + kBackups : given, label = options.label;
  if (!is_storage && is_backup) {
    const SplitPath split(given);
    if (!label.empty() && label != split.name)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("\"{}\" is a single backup, and not the backup \"{}\"", path, label));
    directory = split.parent;
    label = split.name;
  }
  ASSIGN_OR_RETURN(auto names, ListBackups(directory));
  if (names.empty() && !is_storage && !is_backup) return std::nullopt;
  ASSIGN_OR_RETURN(auto layout, Choose(directory, std::move(names), label));
  return layout;
}

Result<std::vector<WalgLink>> ReadWalgChain(const WalgLayout& layout) {
  std::vector<WalgLink> chain;
  std::set<std::string> seen;
  for (std::string name = layout.name; !name.empty();) {
    if (!seen.insert(name).second)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("the backups in \"{}\" go round in a circle: \"{}\" builds upon "
                                   "\"{}\"",
                                   layout.directory, chain.back().name, name));
    auto read = Sentinel(layout.directory, name);
    if (!read && read.error().code == ErrorCode::kNotFound && !chain.empty())
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("the backup \"{}\" in \"{}\" builds upon \"{}\", which is not "
                                   "there or not complete: its sentinel is missing",
                                   chain.back().name, layout.directory, name));
    RETURN_IF_ERROR(read);
    ASSIGN_OR_RETURN(auto files, ReadFiles(layout.directory, name, *read));
    WalgLink link{name, std::move(read->sentinel), std::move(files)};
    if (!link.sentinel.from.empty() && link.files.empty())
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("the backup \"{}\" in \"{}\" builds upon \"{}\", and has no "
                                   "files_metadata.json, which says what it needs of that",
                                   name, layout.directory, link.sentinel.from));
    if (!chain.empty()) RETURN_IF_ERROR(CheckLink(layout.directory, chain.back(), link));
    name = link.sentinel.from;
    chain.push_back(std::move(link));
  }
  return chain;
}

Result<TarLayout> FindWalgArchives(const std::string& directory, const std::string& name) {
  TarLayout layout;
  layout.directory = fmt::format("{}/{}/{}", directory, name, kArchives);
  layout.tool = "WAL-G";
  layout.names = TarNames::kRooted;
  ASSIGN_OR_RETURN(const Directory archives, Directory::Open(layout.directory));
  ASSIGN_OR_RETURN(const auto names, archives.Names());
  for (const std::string& file : names) {
    const size_t tar = file.rfind(".tar");
    if (tar == file.npos) continue;
    const std::string_view suffix = std::string_view(file).substr(tar + 4);
    if (!suffix.empty() && !IsCompressedSuffix(suffix)) continue;
    const Packing packing = PackingOfSuffix(suffix);
    if (packing == Packing::kUnknown)
      return MakeError(
          ErrorCode::kUnsupported,
          fmt::format("archive \"{}\" is packed in a way that is not read; restore the "
                      "backup with wal-g backup-fetch, and give the restored directory",
                      archives.PathOf(file)));
    // They are restored after all others, and have the state at the end of the backup.
    const std::string_view stem = std::string_view(file).substr(0, tar);
    layout.archives.push_back({file, "", packing, stem == "pg_control" || stem == "backup_label"});
  }
  if (layout.archives.empty())
    return MakeError(ErrorCode::kCorrupt, fmt::format("the backup \"{}\" has no archives in \"{}\"",
                                                      name, layout.directory));
  std::sort(layout.archives.begin(), layout.archives.end(),
            [](const TarArchive& a, const TarArchive& b) {
              return std::pair(a.replaces, a.name) < std::pair(b.replaces, b.name);
            });
  RETURN_IF_ERROR(CheckNotEncrypted(archives, layout));
  return layout;
}

}  // namespace neon_redo

#include "cpp_core/backup/incremental_backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cpp_core/backup/incremental_file.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/block.h"

namespace neon_redo {

namespace {

constexpr std::string_view kPrefix = "INCREMENTAL.";

struct Link {
  std::unique_ptr<BaseBackup> backup;
  std::optional<BackupManifest> manifest;
};

// "base/5/INCREMENTAL.1259"
std::string IncrementalName(std::string_view name) {
  const size_t slash = name.rfind('/') + 1;  // 0 where there is none
  return fmt::format("{}{}{}", name.substr(0, slash), kPrefix, name.substr(slash));
}

// The file that one with this name is a part of. Nothing: it is whole, whatever its name is; only
// where relations lie there are incremental files (process_directory_recursively in
// pg_combinebackup.c).
std::optional<std::string> CompleteName(std::string_view name) {
  const size_t slash = name.rfind('/');
  if (slash == name.npos || !name.substr(slash + 1).starts_with(kPrefix)) return std::nullopt;
  const std::string_view directory = name.substr(0, slash);
  if (directory != "global" && !directory.starts_with("base/") &&
      !directory.starts_with(pg::kTablespaceLinks))
    return std::nullopt;
  return fmt::format("{}/{}", directory, name.substr(slash + 1 + kPrefix.size()));
}

class IncrementalBackup : public BaseBackup {
 public:
  explicit IncrementalBackup(std::vector<Link> links)
      : BaseBackup(links[0].backup->path()), links_(std::move(links)) {}

  std::string kind() const override {
    return fmt::format("an incremental backup that builds upon {}", links_.size() - 1);
  }

  std::vector<const BaseBackup*> Links() const override {
    std::vector<const BaseBackup*> out;
    for (const Link& link : links_) out.push_back(link.backup.get());
    return out;
  }
  std::vector<std::string> Remarks() const override {
    std::vector<std::string> out;
    for (const Link& link : links_)
      if (!link.manifest)
        out.push_back(
            fmt::format("the backup in \"{}\" has no {} that can be read, so that a file "
                        "of it that is cut short may not be noticed",
                        link.backup->path(), link.backup->manifest_name()));
    return out;
  }
  size_t descriptors() const override { return links_.size(); }
  // A block may come from the same file of any of them.
  Result<StoredFiles> Stored(const BaseFiles& list) const override {
    static_cast<void>(list);
    StoredFiles out;
    for (const Link& link : links_) {
      ASSIGN_OR_RETURN(BaseFiles own, link.backup->List());
      std::erase_if(own.files, [](const auto& file) { return file.first.starts_with("pg_wal/"); });
      ASSIGN_OR_RETURN(const auto stored, link.backup->Stored(own));
      for (const auto& [path, names] : stored) out[path] = {};
    }
    return out;
  }
  uint64_t spooled() const override {
    uint64_t sum = 0;
    for (const Link& link : links_) sum += link.backup->spooled();
    return sum;
  }
  Result<std::optional<BackupManifest>> Manifest() const override { return std::nullopt; }

  Result<BaseFiles> List() const override {
    ASSIGN_OR_RETURN(BaseFiles out, links_[0].backup->List());
    out.files.erase(kManifestFile);
    std::vector<std::string> parts;
    for (const auto& [name, file] : out.files)
      if (file.strange.empty() && CompleteName(name)) parts.push_back(name);
    for (const std::string& part : parts) {
      out.files.erase(part);
      const std::string name = *CompleteName(part);
      ASSIGN_OR_RETURN(const BaseFileInfo info, ExaminePart(part));
      if (!out.files.insert({name, info}).second)
        out.files[name] = {0, "both a whole file and an incremental one"};
    }
    if (const auto label = out.files.find(kBackupLabelFile); label != out.files.end()) {
      ASSIGN_OR_RETURN(const std::string text, LabelText());
      label->second.size = text.size();
    }
    return out;
  }

  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const override {
    if (name == kBackupLabelFile) {
      ASSIGN_OR_RETURN(std::string text, LabelText());
      return MakeTextFile(std::move(text));
    }
    if (name == kManifestFile || CompleteName(name))
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("{}: the combined backup does not have it", Where(name)));
    auto whole = links_[0].backup->OpenFile(name);
    if (whole || whole.error().code != ErrorCode::kNotFound) return whole;
    const std::string part = IncrementalName(name);
    if (!IsSafeRelativePath(name) || !CompleteName(part)) return whole;
    auto newest = OpenPart(links_[0], part);
    if (!newest && newest.error().code == ErrorCode::kNotFound) return whole;
    RETURN_IF_ERROR(newest);
    return Assemble(name, part, std::move(*newest));
  }

 private:
  // What the combined backup has: it is no longer incremental.
  Result<std::string> LabelText() const {
    ASSIGN_OR_RETURN(const std::string text,
                     links_[0].backup->ReadWhole(kBackupLabelFile, kMaxLabel));
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      const std::string_view line = std::string_view(text).substr(at, end - at);
      if (!line.starts_with("INCREMENTAL FROM ")) out += line;
      at = end;
    }
    return out;
  }

  // A damaged file does not keep the others from being listed.
  Result<BaseFileInfo> ExaminePart(const std::string& part) const {
    const auto source = OpenPart(links_[0], part);
    if (source) return BaseFileInfo{uint64_t{source->header.length()} * kBlockSize, ""};
    if (source.error().code != ErrorCode::kCorrupt) return tl::unexpected(source.error());
    return BaseFileInfo{0, "a damaged incremental file"};
  }

  // Of one backup, a file that is as long as its manifest says: blocks that a shorter one lacks would
  // be taken for zeroes.
  static Result<IncrementalSource> Open(const Link& link, std::string_view name) {
    IncrementalSource source;
    source.where = link.backup->Where(name);
    ASSIGN_OR_RETURN(source.file, link.backup->OpenFile(name));
    const ManifestFile* expected = link.manifest ? link.manifest->Find(name) : nullptr;
    if (expected == nullptr) return source;
    ASSIGN_OR_RETURN(const uint64_t size, source.file->Size());
    if (size == expected->size) return source;
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} has {} bytes, and by backup_manifest should have {}",
                                 source.where, size, expected->size));
  }

  static Result<IncrementalSource> OpenPart(const Link& link, const std::string& part) {
    ASSIGN_OR_RETURN(IncrementalSource source, Open(link, part));
    ASSIGN_OR_RETURN(source.header, ReadIncrementalHeader(*source.file, source.where));
    return source;
  }

  Result<std::shared_ptr<const BaseFile>> Assemble(std::string_view name, const std::string& part,
                                                   IncrementalSource newest) const {
    std::vector<IncrementalSource> sources;
    sources.push_back(std::move(newest));
    for (size_t i = 1; i < links_.size(); i++) {
      auto full = Open(links_[i], name);
      if (full) {
        full->is_full = true;
        sources.push_back(std::move(*full));
        return MakeIncrementalFile(std::move(sources));
      }
      if (full.error().code != ErrorCode::kNotFound) return tl::unexpected(full.error());
      auto older = OpenPart(links_[i], part);
      if (!older && older.error().code == ErrorCode::kNotFound)
        return MakeError(ErrorCode::kCorrupt,
                         fmt::format("{} is missing, and {} builds upon it",
                                     links_[i].backup->Where(name), sources[i - 1].where));
      RETURN_IF_ERROR(older);
      sources.push_back(std::move(*older));
    }
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("no backup of the chain has the whole of \"{}\": {} is "
                                 "incremental, in a full backup",
                                 name, sources.back().where));
  }

  const std::vector<Link> links_;  // the newest first
};

// Both are of one cluster.
Status CheckOneCluster(const Link& newer, const Link& older) {
  ASSIGN_OR_RETURN(const auto a, newer.backup->ControlFile());
  ASSIGN_OR_RETURN(const auto b, older.backup->ControlFile());
  uint64_t of_older = b.system_identifier;
  if (older.manifest) of_older = older.manifest->system_identifier.value_or(of_older);
  if (a.system_identifier == b.system_identifier && of_older == a.system_identifier &&
      a.version == b.version)
    return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("the backups in \"{}\" and \"{}\" are of different clusters: system identifiers "
                  "{} and {}",
                  newer.backup->path(), older.backup->path(), a.system_identifier,
                  of_older != a.system_identifier ? of_older : b.system_identifier));
}

Result<Link> MakeLink(std::unique_ptr<BaseBackup> backup) {
  auto manifest = backup->Manifest();
  // A damaged one is for the proof to report.
  if (!manifest && manifest.error().code != ErrorCode::kCorrupt)
    return tl::unexpected(manifest.error());
  return Link{std::move(backup), manifest ? std::move(*manifest) : std::nullopt};
}

}  // namespace

Result<std::unique_ptr<BaseBackup>> OpenIncrementalBackup(
    std::unique_ptr<BaseBackup> newest, std::vector<std::unique_ptr<BaseBackup>> prior) {
  std::vector<std::pair<BackupLabel, std::unique_ptr<BaseBackup>>> others;
  for (auto& backup : prior) {
    ASSIGN_OR_RETURN(const BackupLabel label, backup->Label());
    others.emplace_back(label, std::move(backup));
  }
  ASSIGN_OR_RETURN(BackupLabel label, newest->Label());
  std::vector<Link> links;
  ASSIGN_OR_RETURN(Link first, MakeLink(std::move(newest)));
  links.push_back(std::move(first));
  while (label.is_incremental) {
    const auto found = std::find_if(others.begin(), others.end(), [&](const auto& other) {
      return other.first.start == label.from && other.first.timeline == label.from_timeline;
    });
    if (found == others.end())
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("the backup in \"{}\" is incremental: it builds upon the one that begins at "
                      "{} on timeline {}, which is not among those given; give that one too",
                      links.back().backup->path(), label.from.ToString(), label.from_timeline));
    ASSIGN_OR_RETURN(Link link, MakeLink(std::move(found->second)));
    label = found->first;
    others.erase(found);
    RETURN_IF_ERROR(CheckOneCluster(links[0], link));
    links.push_back(std::move(link));
  }
  if (!others.empty())
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the backup in \"{}\", which begins at {} on timeline {}, is no part of the "
                    "chain of the backup in \"{}\"",
                    others[0].second->path(), others[0].first.start.ToString(),
                    others[0].first.timeline, links[0].backup->path()));
  return std::make_unique<IncrementalBackup>(std::move(links));
}

}  // namespace neon_redo

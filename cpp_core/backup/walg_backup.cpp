// A restore by WAL-G first restores what the backup before has of the files that this one lists as left
// out or as increments, and that in the same way; then what is in the archives of this one
// (deltaFetchRecursionOld in internal/databases/postgres/backup_fetch_handler.go).
#include "cpp_core/backup/walg_backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "cpp_core/backup/tar_backup.h"
#include "cpp_core/backup/walg_increment.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/block.h"

namespace neon_redo {

namespace {

using Chain = std::vector<WalgLink>;

// What a restore takes from the newest backup, whether files_metadata.json lists it or not
// (UtilityFilePaths in internal/databases/postgres/backup.go).
bool IsUtility(std::string_view name) {
  return name == pg::kControlFile || name == kBackupLabelFile || name == kTablespaceMapFile;
}

// Whether a restore takes the file from this backup of the chain; or it says which backup this is.
bool IsWanted(const Chain& chain, size_t number, std::string_view name) {
  if (number == 0) return IsUtility(name) || chain[0].Find(name).has_value();
  if (name == pg::kControlFile || name == kBackupLabelFile) return true;
  return std::all_of(chain.begin(), chain.begin() + static_cast<ptrdiff_t>(number),
                     [&](const WalgLink& newer) {
                       const auto state = newer.Find(name);
                       return state && *state != WalgFileState::kWhole;
                     });
}

struct Link {
  std::unique_ptr<BaseBackup> archives;
  BaseFiles files;  // that a restore takes from there, and what the sentinel is compared with
};

class WalgBackup : public BaseBackup {
 public:
  WalgBackup(std::string path, std::shared_ptr<const Chain> chain, std::vector<Link> links)
      : BaseBackup(std::move(path)), chain_(std::move(chain)), links_(std::move(links)) {}

  // Before any other function.
  Status Index() {
    files_.directories = links_[0].files.directories;
    for (const auto& [name, info] : links_[0].files.files)
      if (IsUtility(name) || (*chain_)[0].files.empty()) files_.files.insert({name, info});
    for (const auto& [name, state] : (*chain_)[0].files)
      if (!IsUtility(name)) RETURN_IF_ERROR(AddListed(name));
    files_.tablespaces = links_[0].files.tablespaces;  // of tablespace_map
    for (const auto& [oid, target] : (*chain_)[0].sentinel.tablespaces)
      files_.tablespaces.try_emplace(oid, BaseTablespace{BaseTablespace::kBroken, target});
    return AddTablespaces();
  }

  std::string kind() const override {
    return chain_->size() == 1
               ? "a WAL-G backup"
               : fmt::format("a WAL-G delta backup that builds upon {}", chain_->size() - 1);
  }
  Result<BaseFiles> List() const override { return files_; }
  // WAL-G asks for none. One in the data directory is of the backup that the cluster was restored from.
  Result<std::optional<BackupManifest>> Manifest() const override { return std::nullopt; }
  std::string_view manifest_name() const override { return kWalgFilesName; }
  std::vector<std::string> Lost() const override { return missing_; }
  size_t descriptors() const override { return 0; }
  uint64_t spooled() const override {
    uint64_t sum = 0;
    for (const Link& link : links_) sum += link.archives->spooled();
    return sum;
  }
  std::vector<std::string> Remarks() const override {
    if (missing_.empty()) return {};
    return {fmt::format("the backup lists {} that its archives do not have: \"{}\"{}",
                        missing_.size() == 1 ? "a file" : fmt::format("{} files", missing_.size()),
                        missing_[0], missing_.size() == 1 ? "" : " and others")};
  }

  // A file of a chain may have something of each backup.
  Result<StoredFiles> Stored(const BaseFiles& list) const override {
    StoredFiles out;
    for (const Link& link : links_) {
      ASSIGN_OR_RETURN(auto stored, link.archives->Stored(links_.size() == 1 ? list : link.files));
      for (auto& [path, names] : stored)
        out[path] = links_.size() == 1 ? std::move(names) : std::vector<std::string>();
    }
    return out;
  }

  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const override {
    const auto found = files_.files.find(std::string(name));
    if (found == files_.files.end())
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("could not open {}: it is not there", Where(name)));
    if (auto open = FindOpen(found->first)) return open;
    ASSIGN_OR_RETURN(auto sources, SourcesOf(found->first));
    if (sources.size() == 1) return sources[0].file;
    auto file = MakeWalgFile(std::move(sources));
    const std::lock_guard lock(mutex_);
    open_[found->first] = file;
    return file;
  }

 private:
  // The numbers of an increment's blocks may be many: those who have the file open share them.
  std::shared_ptr<const BaseFile> FindOpen(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(name);
    return found == open_.end() ? nullptr : found->second.lock();
  }

  // One that files_metadata.json of the newest lists. A damaged file does not keep the others from being
  // listed.
  Status AddListed(const std::string& name) {
    size_t from = 0;  // the newest backup that has something of it
    while (from < links_.size() && (*chain_)[from].Find(name) == WalgFileState::kSkipped) from++;
    if (from == links_.size()) {
      missing_.push_back(name);
      return {};
    }
    const BaseFiles& files = links_[from].files;
    const auto found = files.files.find(name);
    if (found == files.files.end()) {
      if (!files.directories.contains(name)) missing_.push_back(name);
      return {};
    }
    BaseFileInfo info = found->second;
    if (info.strange.empty() && (*chain_)[from].Find(name) == WalgFileState::kIncrement) {
      ASSIGN_OR_RETURN(info.size, SizeOf(name, *links_[from].archives));
    }
    files_.files.insert({name, info});
    return {};
  }

  // Of a file whose newest part is an increment. What is damaged has the size that it says, or none: what is
  // wrong is told when it is read.
  Result<uint64_t> SizeOf(const std::string& name, const BaseBackup& newest) const {
    auto sources = SourcesOf(name);
    if (sources) return MakeWalgFile(std::move(*sources))->Size();
    if (sources.error().code != ErrorCode::kCorrupt) return tl::unexpected(sources.error());
    ASSIGN_OR_RETURN(const auto file, newest.OpenFile(name));
    auto length = ReadWalgLength(*file, newest.Where(name));
    if (!length && length.error().code == ErrorCode::kCorrupt) return 0;
    return length;
  }

  // The archives have no links. Of other versions' tablespaces in the same place nothing is kept.
  Status AddTablespaces() {
    const auto control = ControlFile();
    if (!control && control.error().code != ErrorCode::kNotFound &&
        control.error().code != ErrorCode::kCorrupt)
      return tl::unexpected(control.error());
    const auto of_tablespace = [](std::string_view name) -> std::optional<uint32_t> {
      if (!name.starts_with(pg::kTablespaceLinks)) return std::nullopt;
      name.remove_prefix(pg::kTablespaceLinks.size());
      return pg::ParseOid(name.substr(0, name.find('/')));
    };
    const auto is_other = [&](const std::string& name, uint32_t oid) {
      const std::string below = fmt::format("{}{}/", pg::kTablespaceLinks, oid);
      if (!control || name.size() < below.size()) return false;
      const std::string_view rest = std::string_view(name).substr(below.size());
      return rest.substr(0, rest.find('/')) != (*control).version->tablespace_directory;
    };
    std::erase_if(files_.directories, [&](const std::string& name) {
      const auto oid = of_tablespace(name);
      if (!oid) return false;
      BaseTablespace& tablespace =
          files_.tablespaces.try_emplace(*oid, BaseTablespace{BaseTablespace::kNoVersion, ""})
              .first->second;
      if (tablespace.state == BaseTablespace::kBroken)
        tablespace.state = BaseTablespace::kNoVersion;
      if (is_other(name, *oid)) return true;
      if (name.find('/', pg::kTablespaceLinks.size()) != name.npos)
        tablespace.state = BaseTablespace::kThere;
      return false;
    });
    std::erase_if(files_.files, [&](const auto& file) {
      const auto oid = of_tablespace(file.first);
      return oid && is_other(file.first, *oid);
    });
    std::erase_if(missing_, [&](const std::string& name) {
      const auto oid = of_tablespace(name);
      return oid && is_other(name, *oid);
    });
    return {};
  }

  // The parts that a restore makes the file of, the newest first: increments, and a whole file.
  Result<std::vector<WalgSource>> SourcesOf(const std::string& name) const {
    std::vector<WalgSource> out;
    for (size_t i = 0; i < links_.size(); i++) {
      const auto state =
          i == 0 && IsUtility(name) ? WalgFileState::kWhole : (*chain_)[i].Find(name);
      if (!state) break;
      if (*state == WalgFileState::kSkipped) continue;
      WalgSource source;
      source.where = links_[i].archives->Where(name);
      auto opened = links_[i].archives->OpenFile(name);
      if (!opened && opened.error().code == ErrorCode::kNotFound && !out.empty()) break;
      ASSIGN_OR_RETURN(source.file, std::move(opened));
      source.is_whole = *state == WalgFileState::kWhole;
      if (!source.is_whole) {
        ASSIGN_OR_RETURN(source.increment, ReadWalgIncrement(*source.file, source.where));
      }
      const bool is_last = source.is_whole;
      out.push_back(std::move(source));
      if (is_last) return out;
    }
    if (out.empty())
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("could not open {}: it is not there", Where(name)));
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} is an increment, and no older backup has the file that it "
                                 "builds upon",
                                 out.back().where));
  }

  const std::shared_ptr<const Chain> chain_;
  const std::vector<Link> links_;  // of the chain
  BaseFiles files_;
  std::vector<std::string> missing_;
  mutable std::mutex mutex_;                                           // of what follows
  mutable std::map<std::string, std::weak_ptr<const BaseFile>> open_;  // put together of increments
};

// The sentinel is that of the backup in the archives. What is damaged or missing is for the proof to
// report. system: of a newer backup's pg_control; set if it is not.
Status CheckSentinel(const BaseBackup& backup, const WalgLink& link,
                     std::optional<uint64_t>* system) {
  const auto differ = [&](const std::string& why) {
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the sentinel of the backup \"{}\" does not fit its archives in "
                                 "\"{}\": {}",
                                 link.name, backup.path(), why));
  };
  if (const auto label = backup.Label(); label && label->start != link.sentinel.start)
    return differ(fmt::format("that says {}, and backup_label says that it begins at {}",
                              link.sentinel.start.ToString(), label->start.ToString()));
  const auto control = backup.ControlFile();
  if (!control) return {};
  const uint64_t own = link.sentinel.system_identifier.value_or(control->system_identifier);
  if (own != control->system_identifier)
    return differ(fmt::format("that is of system {}, and pg_control of system {}", own,
                              control->system_identifier));
  if (!*system) *system = own;
  if (**system != own)
    return differ(
        fmt::format("pg_control is of system {}, and that of a backup that builds upon it of {}",
                    own, **system));
  const uint32_t major = link.sentinel.pg_version / 10000;
  if (major != 0 && major != static_cast<uint32_t>(control->version->major))
    return differ(fmt::format("that is of PostgreSQL {}, and pg_control of {}", major,
                              control->version->major));
  return {};
}

}  // namespace

Result<std::unique_ptr<BaseBackup>> OpenWalgBackup(const WalgLayout& layout,
                                                   const BaseBackupOptions& options) {
  ASSIGN_OR_RETURN(auto read, ReadWalgChain(layout));
  const auto chain = std::make_shared<const Chain>(std::move(read));
  std::vector<Link> links;
  std::optional<uint64_t> system;
  for (size_t i = 0; i < chain->size(); i++) {
    ASSIGN_OR_RETURN(auto archives, FindWalgArchives(layout.directory, (*chain)[i].name));
    archives.wanted = [chain, i](const std::string& name) { return IsWanted(*chain, i, name); };
    Link link;
    ASSIGN_OR_RETURN(link.archives, OpenTarBackup(std::move(archives), options));
    RETURN_IF_ERROR(CheckSentinel(*link.archives, (*chain)[i], &system));
    ASSIGN_OR_RETURN(link.files, link.archives->List());
    links.push_back(std::move(link));
  }
  auto backup = std::make_unique<WalgBackup>(fmt::format("{}/{}", layout.directory, layout.name),
                                             chain, std::move(links));
  RETURN_IF_ERROR(backup->Index());
  return backup;
}

}  // namespace neon_redo

#include "cpp_core/backup/barman_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "cpp_core/backup/manifest.h"
#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/backup/tar_backup.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kMaxInfo = 16 << 20;
constexpr const char* kInfo = "backup.info";

// A name of one directory in another.
bool IsId(std::string_view name) { return IsSafeRelativePath(name) && name.find('/') == name.npos; }

// The info of SERVER/base/ID, from one of its two places. Nothing: there is none, or it is another
// program's file.
Result<std::optional<BarmanInfo>> ReadInfo(const std::string& directory) {
  const SplitPath split(directory);
  const SplitPath base(split.parent);
  std::vector<std::string> places{directory + "/" + kInfo};
  if (base.name == "base")
    places.push_back(fmt::format("{}/meta/{}-{}", base.parent, split.name, kInfo));
  for (const std::string& place : places) {
    auto text = ReadRegularFile(place, kMaxInfo, Links::kRefuse);
    if (!text && text.error().code == ErrorCode::kNotFound) continue;
    RETURN_IF_ERROR(text);
    if (text->starts_with('[')) continue;  // pgBackRest has a file of the same name
    ASSIGN_OR_RETURN(auto info, ParseBarmanInfo(*text, fmt::format("\"{}\"", place)));
    return info;
  }
  return std::nullopt;
}

Status CheckComplete(const BarmanLayout& layout) {
  if (layout.info.status == "DONE" || layout.info.status == "WAITING_FOR_WALS") return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the Barman backup in \"{}\" is not complete: its status is {}",
                               layout.directory, layout.info.status));
}

// Of SERVER/base. Nothing: it has no Barman backups.
Result<std::optional<BarmanLayout>> FindInServer(const std::string& path,
                                                 const BaseBackupOptions& options) {
  const std::string base = path + "/base";
  ASSIGN_OR_RETURN(const bool has_base, IsDirectory(base, Links::kRefuse));
  ASSIGN_OR_RETURN(const bool has_wals, IsDirectory(path + "/wals", Links::kRefuse));
  if (!has_base || !has_wals) return std::nullopt;
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(base));
  ASSIGN_OR_RETURN(auto names, directory.Names());
  std::sort(names.rbegin(), names.rend());  // they are times: the newest is first
  const bool any = options.label.empty() || options.label == "latest";
  for (const std::string& name : names) {
    if (!any && name != options.label) continue;
    const std::string backup = fmt::format("{}/{}", base, name);
    ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(backup, Links::kRefuse));
    if (!is_directory) continue;
    ASSIGN_OR_RETURN(auto info, ReadInfo(backup));
    if (!info) continue;
    BarmanLayout layout{backup, std::move(*info)};
    const Status complete = CheckComplete(layout);
    if (complete) return layout;
    if (!any) return tl::unexpected(complete.error());
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   any ? fmt::format("\"{}\" has no complete Barman backup", base)
                       : fmt::format("\"{}\" has no backup \"{}\"", base, options.label));
}

}  // namespace

Result<std::optional<BarmanLayout>> FindBarmanBackup(const std::string& path,
                                                     const BaseBackupOptions& options) {
  const std::string directory = WithoutSlash(path);
  ASSIGN_OR_RETURN(const bool is_backup, IsDirectory(directory + "/data", Links::kRefuse));
  if (!is_backup) return FindInServer(directory, options);
  ASSIGN_OR_RETURN(auto info, ReadInfo(directory));
  if (!info) return std::nullopt;
  BarmanLayout layout{directory, std::move(*info)};
  RETURN_IF_ERROR(CheckComplete(layout));
  return layout;
}

Result<std::unique_ptr<BaseBackup>> OpenBarmanBackup(const BarmanLayout& layout,
                                                     const BaseBackupOptions& options) {
  ASSIGN_OR_RETURN(auto tar, FindTarBackup(layout.directory + "/data"));
  if (tar) {
    tar->tool = "Barman";
    return OpenTarBackup(std::move(*tar), options);
  }
  PlainLayout plain{layout.directory, "data", {}, "Barman"};
  for (const auto& [oid, target] : layout.info.tablespaces)
    plain.beside[oid] = {fmt::to_string(oid), target};
  return OpenPlainBackup(std::move(plain));
}

Result<std::vector<std::string>> BarmanParents(const BarmanLayout& layout) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  const std::string base = SplitPath(layout.directory).parent;
  for (std::string id = layout.info.parent_id; !id.empty();) {
    if (!IsId(id) || !seen.insert(id).second)
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("the Barman backup in \"{}\" builds upon \"{}\", which cannot be",
                      layout.directory, id));
    out.push_back(fmt::format("{}/{}", base, id));
    ASSIGN_OR_RETURN(const auto info, ReadInfo(out.back()));
    if (!info) break;  // opening it will say what is missing
    id = info->parent_id;
  }
  return out;
}

}  // namespace neon_redo

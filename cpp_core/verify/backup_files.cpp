#include "cpp_core/verify/backup_files.h"

#include <fmt/format.h>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

Result<BaseFiles> ListBackupFiles(const std::string& directory) {
  ASSIGN_OR_RETURN(const auto backup, OpenPlainBackup({directory, "", {}, ""}));
  ASSIGN_OR_RETURN(BaseFiles out, backup->List());
  std::erase_if(out.files, [](const auto& file) {
    return file.first == "pg_wal" || file.first.starts_with("pg_wal/");
  });
  return out;
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
  const std::string version_part = fmt::format("/{}", version.tablespace_directory);
  if (!above.starts_with(pg::kTablespaceLinks) || !above.ends_with(version_part) ||
      above.size() < pg::kTablespaceLinks.size() + version_part.size())
    return std::nullopt;
  const auto spc =
      pg::ParseOid(above.substr(pg::kTablespaceLinks.size(),
                                above.size() - pg::kTablespaceLinks.size() - version_part.size()));
  if (!spc) return std::nullopt;
  tag.rel.spc = *spc;
  return tag;
}

}  // namespace neon_redo

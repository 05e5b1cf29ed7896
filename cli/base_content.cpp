#include "cli/base_content.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/relation_files.h"

namespace neon_redo::cli {

namespace {

Status CheckBasePage(const BlockTag& tag, const uint8_t* page, const pg::Version& version) {
  const auto bad = neon_redo::CheckPage(page, tag.block, true);
  if (!bad) return {};
  const std::string what = bad->damage == Damage::kChecksum
                               ? fmt::format("a wrong checksum ({:04X})", bad->checksum)
                               : "a header that no page can have";
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("block {} in file \"{}\" of the base backup has {}, so nothing can "
                               "be rebuilt from it: an intact backup is needed",
                               tag.block, pg::BlockFilePath(version, tag), what));
}

// By the sizes of the files, once they are asked for.
class BackupSizes {
 public:
  BackupSizes(const BaseBackup& backup, const pg::Version& version)
      : backup_(backup), version_(version) {}

  Result<std::optional<uint32_t>> Of(const RelFileNode& rel, uint8_t fork_number) {
    if (!list_) {
      ASSIGN_OR_RETURN(const BaseFiles files, backup_.ListData());
      list_ = FindRelationFiles(files, version_);
    }
    const auto fork = list_->forks.find({rel, fork_number, 0});
    if (fork == list_->forks.end()) return std::nullopt;
    return fork->second.blocks;
  }

 private:
  const BaseBackup& backup_;
  const pg::Version& version_;
  std::optional<RelationFileList> list_;
};

}  // namespace

BasePage PagesOfBackup(const BaseBackup& backup, const pg::Version& version, bool checksums) {
  auto files = std::make_shared<RelationFiles>(&backup, &version);
  return [&backup, files, &version, checksums](const PageKey& key, uint8_t* page) -> Result<bool> {
    if (const auto slru = key.ToSlruBlock()) return ReadSlruPage(backup, *slru, page);
    ASSIGN_OR_RETURN(const auto tag, key.ToBlock());
    ASSIGN_OR_RETURN(const bool found, files->ReadOrFail(tag, page));
    if (found && checksums) RETURN_IF_ERROR(CheckBasePage(tag, page, version));
    return found;
  };
}

BaseContent ContentOf(const BaseBackup& backup, const pg::Version& version, bool checksums) {
  auto sizes = std::make_shared<BackupSizes>(backup, version);
  BaseContent out;
  out.page = PagesOfBackup(backup, version, checksums);
  out.blocks = [sizes](const RelFileNode& rel, uint8_t fork) { return sizes->Of(rel, fork); };
  out.map = [&backup, &version](uint32_t tablespace, uint32_t database) -> Result<std::string> {
    const std::string path = pg::RelationMapPath(version, tablespace, database);
    ASSIGN_OR_RETURN(auto content, backup.ReadIfThere(path, kMaxSmallFile));
    return content.value_or("");
  };
  return out;
}

}  // namespace neon_redo::cli

#include "cpp_core/backup/base_backup.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "cpp_core/backup/barman_backup.h"
#include "cpp_core/backup/incremental_backup.h"
#include "cpp_core/backup/pgbackrest_backup.h"
#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/backup/tar_backup.h"
#include "cpp_core/backup/walg_backup.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kMaxManifest = size_t{1} << 30;  // some million files

}  // namespace

Result<std::unique_ptr<ByteSource>> BaseBackup::OpenStream(std::string_view name) const {
  ASSIGN_OR_RETURN(auto file, OpenFile(name));
  return ReadWholeFile(std::move(file));
}

Result<std::optional<FileDescriptor>> BaseBackup::OpenAsItIs(std::string_view name) const {
  static_cast<void>(name);
  return std::nullopt;
}

Result<StoredFiles> BaseBackup::Stored(const BaseFiles& list) const {
  static_cast<void>(list);
  return MakeError(
      ErrorCode::kUnsupported,
      fmt::format("it is not known which files on disk \"{}\", {}, consists of", path_, kind()));
}

Result<std::optional<BackupManifest>> BaseBackup::Manifest() const {
  ASSIGN_OR_RETURN(const auto text, ReadIfThere(kManifestFile, kMaxManifest));
  if (!text) return std::nullopt;
  auto manifest = ParseBackupManifest(*text);
  if (manifest) return std::move(*manifest);
  return MakeError(manifest.error().code,
                   fmt::format("{}: {}", Where(kManifestFile), manifest.error().message));
}

Result<std::string> BaseBackup::ReadWhole(std::string_view name, size_t limit) const {
  ASSIGN_OR_RETURN(const auto source, OpenStream(name));
  return ReadRest(source.get(), limit, Where(name));
}

Result<std::optional<std::string>> BaseBackup::ReadIfThere(std::string_view name,
                                                           size_t limit) const {
  auto text = ReadWhole(name, limit);
  if (text) return std::move(*text);
  if (text.error().code == ErrorCode::kNotFound) return std::nullopt;
  return tl::unexpected(text.error());
}

std::string BaseBackup::Where(std::string_view name) const {
  return fmt::format("file \"{}\" of the backup in \"{}\"", name, path_);
}

// A server may be writing the file (get_controlfile in common/controldata_utils.c).
Result<pg::ControlFile> BaseBackup::ControlFile() const {
  constexpr int kAttempts = 10;
  for (int attempt = 1;; attempt++) {
    ASSIGN_OR_RETURN(const auto text, ReadWhole(pg::kControlFile, 4 * pg::kControlFileSize));
    auto control = pg::ParseControlFile(
        Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()), Where(pg::kControlFile));
    if (control || control.error().code != ErrorCode::kCorrupt || attempt == kAttempts)
      return control;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Result<BackupLabel> BaseBackup::Label() const {
  ASSIGN_OR_RETURN(const auto text, ReadWhole(kBackupLabelFile, kMaxLabel));
  const auto label = ParseBackupLabel(text);
  if (!label)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} does not say START WAL LOCATION and START TIMELINE",
                                 Where(kBackupLabelFile)));
  return *label;
}

namespace {

// Another backup would be read than the caller means. A stanza and a passphrase may be those of the WAL.
Status CheckNoRepository(const std::string& path, const BaseBackupOptions& options) {
  if (options.label.empty()) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("\"{}\" is a single backup, and no repository: a label means nothing there",
                  path));
}

// By itself, whatever it builds upon.
Result<std::unique_ptr<BaseBackup>> OpenAlone(const std::string& path,
                                              const BaseBackupOptions& options) {
  ASSIGN_OR_RETURN(auto tar, FindTarBackup(path));
  if (tar) {
    RETURN_IF_ERROR(CheckNoRepository(path, options));
    return OpenTarBackup(std::move(*tar), options);
  }
  ASSIGN_OR_RETURN(auto pgbackrest, FindPgBackRestBackup(path, options));
  if (pgbackrest) return OpenPgBackRestBackup(std::move(*pgbackrest), options);
  ASSIGN_OR_RETURN(auto barman, FindBarmanBackup(path, options));
  if (barman) return OpenBarmanBackup(*barman, options);
  ASSIGN_OR_RETURN(auto walg, FindWalgBackup(path, options));
  if (walg) return OpenWalgBackup(*walg, options);
  ASSIGN_OR_RETURN(auto plain, OpenPlainBackup({path, "", {}, ""}));
  RETURN_IF_ERROR(CheckNoRepository(path, options));
  return plain;
}

// Where those lie that an incremental backup builds upon: the caller says so, or Barman.
Result<std::vector<std::string>> PriorOf(const std::string& path,
                                         const BaseBackupOptions& options) {
  if (!options.prior.empty()) return options.prior;
  ASSIGN_OR_RETURN(const auto barman, FindBarmanBackup(path, options));
  if (!barman) return std::vector<std::string>();
  return BarmanParents(*barman);
}

}  // namespace

Result<std::unique_ptr<BaseBackup>> OpenBaseBackup(const std::string& path,
                                                   const BaseBackupOptions& options) {
  return Guarded([&]() -> Result<std::unique_ptr<BaseBackup>> {
    ASSIGN_OR_RETURN(auto backup, OpenAlone(path, options));
    const auto label = backup->Label();
    if (!label && label.error().code != ErrorCode::kNotFound) return tl::unexpected(label.error());
    if (!label || !label->is_incremental) {
      if (options.prior.empty()) return backup;
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the backup in \"{}\" is a full one and builds upon no other: "
                                   "give only one backup",
                                   path));
    }
    std::vector<std::unique_ptr<BaseBackup>> prior;
    ASSIGN_OR_RETURN(const auto paths, PriorOf(path, options));
    for (const std::string& other : paths) {
      ASSIGN_OR_RETURN(auto opened, OpenAlone(other, options));
      prior.push_back(std::move(opened));
    }
    return OpenIncrementalBackup(std::move(backup), std::move(prior));
  });
}

}  // namespace neon_redo

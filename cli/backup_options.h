// The options that say which base backup a command reads.
#ifndef NEON_REDO_CLI_BACKUP_OPTIONS_H_
#define NEON_REDO_CLI_BACKUP_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cpp_core/backup/base_backup.h"
#include "neon_redo/error.h"

namespace neon_redo::cli {

struct BackupArguments {
  std::vector<std::string> paths;  // the last is read; the others are what it builds upon
  BaseBackupOptions options;       // but for prior and spool_directory

  bool given() const { return !paths.empty(); }
  // The same options, for a command that the program suggests.
  std::string Words() const;
};

// --base-backup, --label, --stanza and --repo-cipher-pass-file
void AddBaseBackup(Options* options, BackupArguments* arguments, const char* help);
// What does not fit together: one line; empty: all does.
std::string CheckBaseBackup(const BackupArguments& arguments);

// Opens it, and says on standard error where its tablespaces are read from (only: this one, if it is one)
// and what is unusual about it.
Result<std::unique_ptr<BaseBackup>> OpenBackup(const BackupArguments& arguments,
                                               std::optional<uint32_t> only = std::nullopt);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_BACKUP_OPTIONS_H_

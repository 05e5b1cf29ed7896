#include "cli/backup_options.h"

#include <fmt/format.h>

#include "cli/common_options.h"
#include "cli/failure.h"
#include "cli/foreign_text.h"
#include "cpp_core/base/try.h"

namespace neon_redo::cli {

std::string BackupArguments::Words() const {
  std::string out;
  const auto add = [&out](const char* name, const std::string& value) {
    if (!value.empty())
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, ShellWord(value));
  };
  for (const std::string& path : paths) add("--base-backup", path);
  add("--label", options.label);
  add("--stanza", options.stanza);
  add("--repo-cipher-pass-file", options.cipher_pass_file);
  return out;
}

void AddBaseBackup(Options* options, BackupArguments* arguments, const char* help) {
  options->PathList("--base-backup=PATH", &arguments->paths, help);
  options->Text(
      "--label=LABEL", &arguments->options.label,
      "which backup of a pgBackRest repository, a Barman server or WAL-G's storage (default: "
      "latest)");
  AddRepository(options, &arguments->options.stanza, &arguments->options.cipher_pass_file);
}

std::string CheckBaseBackup(const BackupArguments& arguments) {
  if (!arguments.given() && !arguments.options.label.empty())
    return "--label is for --base-backup: give it too";
  return "";
}

Result<std::unique_ptr<BaseBackup>> OpenBackup(const BackupArguments& arguments,
                                               std::optional<uint32_t> only) {
  BaseBackupOptions options = arguments.options;
  options.prior.assign(arguments.paths.begin(), arguments.paths.end() - 1);
  for (const std::string& path : arguments.paths) SayTablespaces(path, only);
  ASSIGN_OR_RETURN(auto backup, OpenBaseBackup(arguments.paths.back(), options));
  SayNotes(backup->Remarks());
  return backup;
}

}  // namespace neon_redo::cli

// neon-redo verify --explain: every record that touches a page.
#ifndef NEON_REDO_CLI_VERIFY_EXPLAIN_H_
#define NEON_REDO_CLI_VERIFY_EXPLAIN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/backup_options.h"
#include "cli/commands.h"

namespace neon_redo::cli {

struct ExplainArguments {
  std::string page;  // its name
  const BackupArguments& backup;
  const std::vector<std::string>& wal;
  std::string restore_command;
  std::optional<uint32_t> timeline;
  std::string index;  // as of OpenIndex
  int jobs;
  bool json;
};

// Prints the records, found by an index where it has what decides.
Outcome Explain(const ExplainArguments& arguments);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_VERIFY_EXPLAIN_H_

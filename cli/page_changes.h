// What `neon-redo page` rebuilds pages from: the base backup, and the changes that the WAL has of them.
#ifndef NEON_REDO_CLI_PAGE_CHANGES_H_
#define NEON_REDO_CLI_PAGE_CHANGES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/backup_options.h"
#include "cli/page_inputs.h"
#include "cli/table_name.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/store/change_source.h"
#include "cpp_core/store/page_reader.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace neon_redo::cli {

inline constexpr Lsn kEndOfWal(~uint64_t{0});  // --lsn end

// Where pages come from, by the command line.
struct PageSources {
  std::vector<std::string> wal;
  std::string restore_command;
  BackupArguments base_backup;
  std::string index;
  int jobs = 1;
  std::optional<uint32_t> timeline;
  WorkerOptions worker;
};

// An index, or what a pass over all WAL has found of one page.
struct PageChanges {
  std::unique_ptr<WalIndex> index;  // null: there is none
  std::unique_ptr<ChangeSource> source;
};

// Of one page, for LSNs up to this one. kNotFound: the WAL does not reach the LSN.
Result<PageChanges> OpenPageChanges(const PageSources& sources, const PageInputs& inputs,
                                    const PageKey& key, Lsn lsn);

// The base backup and the WAL; spc: the tablespace of the pages.
Result<PageInputs> OpenInputs(const PageSources& sources, std::optional<uint32_t> spc);
// Pages of the base backup; empty: there is none. Each such function is for one thread.
BasePage BasePagesOf(const PageInputs& inputs);
// The worker's options for these. Errors: a program of the server is missing.
Result<WorkerOptions> WorkerOf(const PageSources& sources, const PageInputs& inputs);

// The relation that has this name at the LSN.
Result<RelFileNode> FindTable(const PageSources& sources, const TableArguments& table, Lsn lsn);

// A relation's page gets its checksum, so that it can be put in place on a cluster with checksums.
void StampChecksum(const PageKey& key, uint8_t* page);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_PAGE_CHANGES_H_

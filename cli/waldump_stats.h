// What neon-redo waldump --stats prints.
#ifndef NEON_REDO_CLI_WALDUMP_STATS_H_
#define NEON_REDO_CLI_WALDUMP_STATS_H_

#include <optional>

#include "cpp_core/wal/stats.h"
#include "neon_redo/error.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo::cli {

// The table of pg_waldump --stats, to the letter. version: of the WAL.
void PrintStatsTable(const WalStats& stats, bool by_operation, const pg::Version& version);

// One object. error: why not all of the WAL was read, if so.
void PrintStatsJson(const WalStats& stats, bool by_operation, const WalReader& reader,
                    const std::optional<Error>& error);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_WALDUMP_STATS_H_

// What commands that use an index of WAL have in common.
#ifndef NEON_REDO_CLI_INDEX_OPTIONS_H_
#define NEON_REDO_CLI_INDEX_OPTIONS_H_

#include <memory>
#include <string>

#include "cli/options.h"
#include "cpp_core/index/wal_index.h"

namespace neon_redo::cli {

// --index
Option& AddIndex(Options* options, std::string* directory);
// --jobs, and its default
Option& AddIndexJobs(Options* options, int* jobs);

// Opens it, with a bar of progress where files are missing, and says on standard error what is unusual about
// the WAL, and how much was indexed and where, if any was. directory: empty stands for the user's
// directory of caches.
Result<std::unique_ptr<WalIndex>> OpenIndex(const WalSet& wal, const WalRange& range,
                                            const std::string& directory, int jobs);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_INDEX_OPTIONS_H_

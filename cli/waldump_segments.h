// Which WAL the arguments of pg_waldump mean.
#ifndef NEON_REDO_CLI_WALDUMP_SEGMENTS_H_
#define NEON_REDO_CLI_WALDUMP_SEGMENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/common_options.h"
#include "cpp_core/archive/wal_set.h"
#include "neon_redo/error.h"

namespace neon_redo::cli {

// Where pg_waldump looks for WAL: in the directory or in its pg_wal; without a directory, in the
// usual places. name: a segment that must be there, or empty. kNotFound: it is in none of them. An
// error of another kind in a place ends the search. sources: what is to be known of a repository.
Result<std::string> FindWalDirectory(const WalSources& sources, const std::string& directory,
                                     const std::string& name);

// What STARTSEG and ENDSEG, one or both, mean: directories, timeline and range. Returns the WAL of the
// directories. The values that were given are taken into account; the range must lie in the segments.
Result<WalSet> ReadSegmentNames(const std::vector<std::string>& segments, WalSources* sources,
                                LsnRange* range, std::optional<uint32_t>* timeline);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_WALDUMP_SEGMENTS_H_

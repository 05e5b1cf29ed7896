// neon-redo verify --only: some pages, by an index of the WAL.
#ifndef NEON_REDO_CLI_VERIFY_ONLY_H_
#define NEON_REDO_CLI_VERIFY_ONLY_H_

#include <string>
#include <vector>

#include "cpp_core/verify/wanted.h"
#include "neon_redo/error.h"

namespace neon_redo::cli {

// names: of pages, or of a relation's main file for all of its pages. index, jobs: as of OpenIndex.
// kInvalidArgument: one is neither.
Result<WantedPages> FindOnly(const std::vector<std::string>& names, const std::string& index,
                             int jobs);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_VERIFY_ONLY_H_

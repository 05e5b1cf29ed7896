// neon-redo page --relation: all pages of a fork as they were at an LSN.
#ifndef NEON_REDO_CLI_PAGE_RELATION_H_
#define NEON_REDO_CLI_PAGE_RELATION_H_

#include <string>

#include "cli/failure.h"
#include "cli/page_changes.h"
#include "neon_redo/block.h"
#include "neon_redo/lsn.h"

namespace neon_redo::cli {

struct RelationRequest {
  RelFileNode rel;
  uint8_t fork = kMainFork;
  Lsn lsn;
  std::string output;
  bool json = false;
};

// Writes the files and says what was done. Fails, and leaves no file, if a page cannot be rebuilt.
Outcome WriteRelation(const PageSources& sources, const RelationRequest& request);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_PAGE_RELATION_H_

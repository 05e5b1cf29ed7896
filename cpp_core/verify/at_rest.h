// What PostgreSQL's masks leave out of a comparison although it is right in a page at rest. The
// server needs the masks for images that are taken while others change the page.
#ifndef NEON_REDO_VERIFY_AT_REST_H_
#define NEON_REDO_VERIFY_AT_REST_H_

#include <cstdint>
#include <optional>
#include <string>

#include "cpp_core/catalog/commit_log.h"

namespace neon_redo {

struct Difference {
  uint32_t offset;    // of a byte that is wrong
  bool is_old;        // the page misses a write
  std::string words;  // one line
};

struct AtRestContext {
  bool decided;       // pg_xact was not changed after the page
  bool may_be_ahead;  // before a crash, a page without a new LSN was written ahead of its WAL
  CommitLog* log;     // of the data directory that the page on disk is of
};

// rebuilt, disk: two pages of a relation's main fork that are equal under the masks of the resource
// manager; of others the answer means nothing. docs/verify-masks.md says what is compared.
std::optional<Difference> DifferenceAtRest(uint8_t rmid, const uint8_t* rebuilt,
                                           const uint8_t* disk, const AtRestContext& context);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_AT_REST_H_

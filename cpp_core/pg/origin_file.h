// How far each replication origin has come: the file pg_logical/replorigin_checkpoint
// (replication/logical/origin.c), and the records of ReplicationOrigin (replication/origin.h).
#ifndef NEON_REDO_PG_ORIGIN_FILE_H_
#define NEON_REDO_PG_ORIGIN_FILE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo::layout::repl_origin {

struct Set {  // xl_replorigin_set
  uint64_t remote_lsn;
  uint16_t origin;
  uint8_t force;  // bool; from outside it may hold anything
};
struct Drop {  // xl_replorigin_drop
  uint16_t origin;
};

}  // namespace neon_redo::layout::repl_origin

namespace neon_redo::pg {

inline constexpr const char* kOriginFile = "pg_logical/replorigin_checkpoint";

// The remote LSN of each origin.
using Origins = std::map<uint16_t, Lsn>;

// what: the file's name, for messages. kCorrupt: a wrong magic number, size or checksum, with which no server
// starts.
Result<Origins> ParseOriginFile(std::string_view content, const std::string& what);
std::string OriginFileOf(const Origins& origins);

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_ORIGIN_FILE_H_

// The page checksum, by PostgreSQL's own header: storage/checksum_impl.h is made to be included by
// programs outside the server.
#include "cpp_core/pg/page.h"

extern "C" {
#include <postgres_fe.h>
// Relies on postgres_fe.h before it.
#include <storage/checksum_impl.h>
}

namespace neon_redo {

static_assert(BLCKSZ == kBlockSize);

uint16_t PageChecksum(const uint8_t* page, uint32_t block) {
  // pg_checksum_page wants an aligned page and zeroes pd_checksum for a moment: give it a copy.
  alignas(8) char copy[BLCKSZ];
  std::memcpy(copy, page, sizeof(copy));
  return pg_checksum_page(copy, block);
}

}  // namespace neon_redo

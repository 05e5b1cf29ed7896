// CRC-32C (Castagnoli) as PostgreSQL computes it (port/pg_crc32c.h), with the processor's
// instructions where it has them, else by the code of libpgport.
#ifndef NEON_REDO_BASE_CRC32C_H_
#define NEON_REDO_BASE_CRC32C_H_

#include <cstdint>

#include "neon_redo/bytes.h"

namespace neon_redo {

// Whether long buffers are folded with instructions of 512 bits: where the processor has them.
// Tests turn it off to see the other way at work.
extern bool crc32c_folds;

// Start with kCrc32cInit, extend over each piece in order, finish with Crc32cFinish
// (INIT_CRC32C, COMP_CRC32C, FIN_CRC32C). Thread-safe.
inline constexpr uint32_t kCrc32cInit = 0xffffffffu;
uint32_t Crc32cExtend(uint32_t crc, Bytes bytes);
inline uint32_t Crc32cFinish(uint32_t crc) { return crc ^ 0xffffffffu; }

// The checksum of one buffer.
inline uint32_t Crc32c(Bytes bytes) { return Crc32cFinish(Crc32cExtend(kCrc32cInit, bytes)); }

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_CRC32C_H_

#include "cpp_core/base/crc32c.h"

extern "C" {
// From libpgport. On x86-64 pg_comp_crc32c is a pointer that the first call points at the SSE 4.2
// or the table version (port/pg_crc32c.h: USE_SSE42_CRC32C_WITH_RUNTIME_CHECK).
extern uint32_t (*pg_comp_crc32c)(uint32_t crc, const void* data, size_t len);
}

namespace neon_redo {

uint32_t Crc32cExtend(uint32_t crc, Bytes bytes) {
  return pg_comp_crc32c(crc, bytes.data(), bytes.size());
}

uint32_t RecordCrc32c(Bytes record) {
  constexpr size_t kHeaderSize = 24;  // SizeOfXLogRecord
  constexpr size_t kCrcOffset = 20;   // offsetof(XLogRecord, xl_crc)
  uint32_t crc = Crc32cExtend(kCrc32cInit, record.subspan(kHeaderSize));
  return Crc32cFinish(Crc32cExtend(crc, record.first(kCrcOffset)));
}

}  // namespace neon_redo

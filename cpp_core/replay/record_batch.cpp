#include "cpp_core/replay/record_batch.h"

#include <new>

#include "cpp_core/replay/large_page.h"

namespace neon_redo {

namespace {

std::align_val_t AlignmentOf(size_t bytes) {
  return std::align_val_t(bytes % kLargePageBytes == 0 ? kLargePageBytes : alignof(uint64_t));
}

}  // namespace

uint64_t* RecordBatch::Memory::allocate(size_t words) {
  const size_t bytes = words * sizeof(uint64_t);
  auto* const p = static_cast<uint8_t*>(::operator new(bytes, AlignmentOf(bytes)));
  if (bytes % kLargePageBytes == 0) {
    for (size_t at = 0; at < bytes; at += kLargePageBytes) PopulateByLargePage(p + at);
  }
  return reinterpret_cast<uint64_t*>(p);
}

void RecordBatch::Memory::deallocate(uint64_t* p, size_t words) {
  ::operator delete(p, AlignmentOf(words * sizeof(uint64_t)));
}

}  // namespace neon_redo

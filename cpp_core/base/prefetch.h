// Benchmark: tests/bench/verify_vs_recovery.py. Plain code: none, since a hint changes no result.
//
// A hint to the processor.
#ifndef NEON_REDO_BASE_PREFETCH_H_
#define NEON_REDO_BASE_PREFETCH_H_

#include <cstddef>
#include <cstdint>

namespace neon_redo {

// Has the processor fetch the cache line at p, which need not be an address that may be read.
inline void Prefetch(const void* p) {
  __builtin_prefetch(p, 1);
  // Without this GCC sees a function without effect and drops its calls.
  asm volatile("" : : "r"(p));
}

// All lines of that many bytes.
inline void PrefetchRange(const void* p, size_t bytes) {
  const auto* const begin = static_cast<const uint8_t*>(p);
  for (size_t at = 0; at < bytes; at += 64) Prefetch(begin + at);
}

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_PREFETCH_H_

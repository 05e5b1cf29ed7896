// A hint to the processor.
#ifndef NEON_REDO_BASE_PREFETCH_H_
#define NEON_REDO_BASE_PREFETCH_H_

namespace neon_redo {

// Has the processor fetch the cache line at p, which need not be an address that may be read.
inline void Prefetch(const void* p) {
  __builtin_prefetch(p, 1);
  // Or GCC sees a function without effect, and drops calls of it.
  asm volatile("" : : "r"(p));
}

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_PREFETCH_H_

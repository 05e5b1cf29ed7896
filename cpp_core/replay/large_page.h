// The kernel's large pages: the processor finds addresses in them faster, and one of them is memory
// for 512 small pages at a time.
#ifndef NEON_REDO_REPLAY_LARGE_PAGE_H_
#define NEON_REDO_REPLAY_LARGE_PAGE_H_

#include <cstddef>

namespace neon_redo {

inline constexpr size_t kLargePageBytes = 2 << 20;

// Backs kLargePageBytes from p on by a large page, if the kernel has one quickly. p is a multiple of
// kLargePageBytes, and the memory was not touched yet. Returns whether the large page is there now;
// if not, small pages come as they are touched. Thread-safe.
bool PopulateByLargePage(void* p);

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_LARGE_PAGE_H_

// The kernel's large pages: addresses in them are found faster, and memory is had 512 small pages
// at a time.
#ifndef NEON_REDO_REPLAY_LARGE_PAGE_H_
#define NEON_REDO_REPLAY_LARGE_PAGE_H_

#include <cstddef>

namespace neon_redo {

inline constexpr size_t kLargePageBytes = 2 << 20;

// Backs kLargePageBytes from p on, a multiple of that which was not touched yet, by a large page,
// if one is to be had quickly. Returns whether it is there now; if not, small pages come as they
// are touched. Thread-safe.
bool PopulateByLargePage(void* p);

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_LARGE_PAGE_H_

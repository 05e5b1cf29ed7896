// Plain code: small pages, which the kernel gives as they are touched. Test: large pages in
// tests/unit/replay_large_page_test.cpp. Benchmark: tests/bench/verify_vs_recovery.py.
//
// Where memory is full of cached files, or a host must give it back to its virtual machine, the
// kernel takes milliseconds to find a large page: ten times what the page saves. Then the process
// does without large pages for a while, and for longer each time that nothing has changed.
#include "cpp_core/replay/large_page.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>

namespace neon_redo {

bool PopulateByLargePage(void* p) {
  constexpr auto kSlow = std::chrono::milliseconds(1);
  constexpr int kFirstPause = 64, kLongestPause = 1 << 16;
  static std::atomic<int> pages_without{0}, pause{kFirstPause};
  if (pages_without.load(std::memory_order_relaxed) > 0) {
    pages_without.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  const auto started = std::chrono::steady_clock::now();
  if (madvise(p, kLargePageBytes, MADV_HUGEPAGE) != 0 ||
      madvise(p, kLargePageBytes, MADV_POPULATE_WRITE) != 0)
    return false;
  if (std::chrono::steady_clock::now() - started <= kSlow) {
    pause = kFirstPause;
  } else {
    const int without = pause.load(std::memory_order_relaxed);
    pages_without = without;
    pause = std::min(without * 4, kLongestPause);
  }
  return true;
}

}  // namespace neon_redo

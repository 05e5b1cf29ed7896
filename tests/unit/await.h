// Waiting in a test, for so long and no longer.
#ifndef NEON_REDO_TESTS_UNIT_AWAIT_H_
#define NEON_REDO_TESTS_UNIT_AWAIT_H_

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace neon_redo::testing {

inline constexpr std::chrono::seconds kPatience{60};

// The end of the test program: what a test waits for has not come, and other threads still use what
// the test would now destroy.
[[noreturn]] inline void GiveUpWaiting(const char* what) {
  std::fprintf(stderr, "waited %ld s in vain: %s\n", static_cast<long>(kPatience.count()), what);
  std::abort();
}

// Returns once the condition, asked every millisecond, holds.
template <typename Condition>
void Await(const char* what, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) GiveUpWaiting(what);
    usleep(1000);
  }
}

}  // namespace neon_redo::testing

#endif  // NEON_REDO_TESTS_UNIT_AWAIT_H_

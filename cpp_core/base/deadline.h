// Times by which a wait must end.
#ifndef NEON_REDO_BASE_DEADLINE_H_
#define NEON_REDO_BASE_DEADLINE_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace neon_redo {

// steady_clock's last time stands for "never".
inline std::chrono::steady_clock::time_point DeadlineAfter(std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  return timeout.count() > 0 ? Clock::now() + timeout : Clock::time_point::max();
}

// For poll: milliseconds until the deadline, rounded up, so that it has passed after a timeout; at
// most 12 days. Without a deadline -1, which waits for ever.
inline int PollTimeout(std::chrono::steady_clock::time_point deadline) {
  using Clock = std::chrono::steady_clock;
  if (deadline == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
}

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_DEADLINE_H_

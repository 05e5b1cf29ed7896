// How long to wait before the next attempt to connect.
#ifndef NEON_REDO_BASE_BACKOFF_H_
#define NEON_REDO_BASE_BACKOFF_H_

#include <algorithm>
#include <chrono>

namespace neon_redo {

// Pauses that double from `first` up to `cap`, each shortened by up to half, so that clients that
// lost the same server do not all come back at once. Neither a clock nor a random number generator
// is used. Not thread-safe.
class Backoff {
 public:
  // first is at least 1 ms, cap at least first.
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds cap)
      : first_(first), cap_(cap) {}

  // After one more failure. random: from 0 up to, not including, 1.
  std::chrono::milliseconds Next(double random) {
    pause_ = pause_ > cap_ / 2 ? cap_ : std::max(pause_ * 2, first_);
    return std::chrono::ceil<std::chrono::milliseconds>(pause_ * (1 - random / 2));
  }
  // After a success.
  void Reset() { pause_ = {}; }

 private:
  const std::chrono::milliseconds first_;
  const std::chrono::milliseconds cap_;
  std::chrono::milliseconds pause_{};
};

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_BACKOFF_H_

// SIGINT and SIGTERM, for commands that run until they are told to stop.
#ifndef NEON_REDO_CLI_STOP_SIGNAL_H_
#define NEON_REDO_CLI_STOP_SIGNAL_H_

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "neon_redo/cancel.h"

namespace neon_redo::cli {

// Turns both signals into a cancellation. A signal within a second of the first is ignored: timeout
// of coreutils sends one to the process and another to its process group. A later one ends the
// program the hard way, and its exit status is the signal's. SIGPIPE is ignored: a broken pipe
// shows as a failed write. Lives as long as the process.
inline const CancelSignal& StopOnSignals() {
  static const CancelSignal stop;
  static std::atomic<int64_t> first_at{0};  // nanoseconds of CLOCK_MONOTONIC; 0: no signal so far
  static_assert(std::atomic<int64_t>::is_always_lock_free);  // or a handler may not use it
  struct sigaction action = {};
  action.sa_handler = [](int number) {
    const int error = errno;
    constexpr int64_t kSecond = 1'000'000'000;
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    const int64_t now = time.tv_sec * kSecond + time.tv_nsec;
    int64_t first = 0;
    if (first_at.compare_exchange_strong(first, now)) {
      stop.Set();
    } else if (now - first > kSecond) {
      // Blocked here; taken when the handler returns.
      signal(number, SIG_DFL);
      raise(number);
    }
    errno = error;
  };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return stop;
}

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_STOP_SIGNAL_H_

// SIGINT and SIGTERM, in processes of their own.
#include "cli/stop_signal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <utility>

namespace neon_redo::cli {
namespace {

bool IsSet(const CancelSignal& stop) {
  pollfd fd{stop.fd(), POLLIN, 0};
  return poll(&fd, 1, 0) == 1;
}

// As timeout of coreutils sends it: to the process, and to the process group.
TEST(StopSignalDeathTest, ASignalSentTwiceAtOnceIsOne) {
  for (const auto& [first, second] : {std::pair(SIGTERM, SIGTERM), std::pair(SIGINT, SIGTERM)}) {
    const auto stop_twice = [first = first, second = second] {
      const CancelSignal& stop = StopOnSignals();
      if (IsSet(stop)) _exit(1);
      raise(first);
      if (!IsSet(stop)) _exit(2);
      raise(second);
      raise(first);
      _exit(IsSet(stop) ? 0 : 3);
    };
    EXPECT_EXIT(stop_twice(), testing::ExitedWithCode(0), "");
  }
}

TEST(StopSignalDeathTest, ALaterSignalEndsTheProgram) {
  const auto stop_again = [] {
    StopOnSignals();
    raise(SIGINT);
    usleep(1'050'000);
    raise(SIGTERM);
    _exit(0);
  };
  EXPECT_EXIT(stop_again(), testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace neon_redo::cli

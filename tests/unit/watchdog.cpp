// Ends the test program when one test takes too long, wherever it hangs: NEON_REDO_TEST_TIMEOUT
// seconds, 300 by default.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

namespace neon_redo::testing {
namespace {

const char* running = "";

void TooLong(int) {
  const char* const parts[] = {"the test takes too long: ", running, "\n"};
  for (const char* part : parts) {
    [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, part, std::strlen(part));
  }
  std::abort();
}

class Watchdog : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo& test) override {
    const char* wanted = std::getenv("NEON_REDO_TEST_TIMEOUT");
    // The long form of the chaos test runs as long as it is told.
    const int usual = std::getenv("NEON_REDO_CHAOS_REQUESTS") != nullptr ? 3600 : 300;
    running = test.name();
    std::signal(SIGALRM, TooLong);
    alarm(static_cast<unsigned>(wanted != nullptr ? std::atoi(wanted) : usual));
  }
  void OnTestEnd(const ::testing::TestInfo&) override { alarm(0); }
};

// gtest's main knows nothing of it.
[[maybe_unused]] const bool appended = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new Watchdog);
  return true;
}();

}  // namespace
}  // namespace neon_redo::testing

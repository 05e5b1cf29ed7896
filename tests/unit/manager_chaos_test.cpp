// Requests from many threads while workers are killed, stopped and made to talk nonsense. The long
// form: NEON_REDO_CHAOS_REQUESTS=100000 unit_tests --gtest_filter='*Chaos*'.
#include "tests/unit/manager_chaos.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/unit/manager_fixture.h"

namespace neon_redo {
namespace {

using std::chrono::milliseconds;
using testing::Ask;
using testing::Chaos;
using testing::ManagerTest;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kDeadline{4000};
// What a busy machine may add before a thread that is due runs.
constexpr milliseconds kSlack{4000};

class ManagerChaosTest : public ManagerTest {
 protected:
  // The right page or a typed error, in time.
  void Check(const Result<PageImage>& result, const Ask& ask, Clock::time_point start) {
    EXPECT_LT(Clock::now() - start, kDeadline + kSlack);
    if (result) {
      const PageImage right = ask.Page();
      const auto differs = std::mismatch(result->begin(), result->end(), right.begin()).first;
      ASSERT_TRUE(differs == result->end())
          << "from byte " << differs - result->begin() << ": "
          << std::string(differs, std::min(differs + 40, result->end()));
      ++right_;
      return;
    }
    EXPECT_TRUE(result.error().code == ErrorCode::kWorker ||
                result.error().code == ErrorCode::kTimeout)
        << result.error().message;
    ++errors_;
  }

  void Call(RedoManager* manager, uint32_t serial) {
    // A few requests are themselves a worker's end.
    static constexpr const char* kCommands[] = {".x", ".k", ".s", ".l", ".g", ".e", ".w"};
    const uint32_t pick = serial * 2654435761u >> 16;
    const Ask ask(serial, pick % 100 < 3 ? kCommands[pick % 7] : "...", 30 + pick % 4000);
    PageRequest request = ask.request(static_cast<AttemptKind>(pick % 3));
    request.deadline = kDeadline;
    const Clock::time_point start = Clock::now();
    if (pick % 5 == 0) {
      const Ask other(serial + 1);
      PageRequest second = other.request();
      second.deadline = kDeadline;
      const std::vector<PageRequest> both = {request, second};
      const auto results = manager->RequestRedoBatch(both);
      Check(results[0], ask, start);
      Check(results[1], other, start);
    } else if (pick % 5 == 1) {
      std::atomic<bool> done = false;
      manager->RequestRedoAsync(request, [&](Result<PageImage> result) {
        Check(result, ask, start);
        done = true;
      });
      testing::Await("the completion", [&] { return done.load(); });
    } else {
      Check(manager->RequestRedo(request), ask, start);
    }
  }

  std::atomic<uint64_t> right_ = 0;
  std::atomic<uint64_t> errors_ = 0;
};

TEST_F(ManagerChaosTest, EveryCallIsAnsweredRightlyOrWithAnError) {
  const char* wanted = std::getenv("NEON_REDO_CHAOS_REQUESTS");
  const uint32_t requests = wanted != nullptr ? static_cast<uint32_t>(std::atoi(wanted)) : 800;
  ManagerOptions options = testing::FakeWorkers(3);
  // Each stopped worker costs it.
  options.worker.timeout = milliseconds(wanted != nullptr ? 400 : 250);
  RedoManager manager(options);
  std::atomic<uint32_t> next = 0;
  Chaos chaos(&manager, 10'000, &next, 10);
  std::vector<std::thread> callers;
  for (int t = 0; t < 8; ++t) {
    callers.emplace_back([&] {
      for (uint32_t serial; (serial = next++) < requests;) Call(&manager, serial);
    });
  }
  for (std::thread& caller : callers) caller.join();
  chaos.Stop();
  EXPECT_GE(right_ + errors_, requests);
  EXPECT_GT(right_, requests / 2);
  const ManagerStatus status = manager.status();
  EXPECT_EQ(status.failed_requests, errors_);
  std::printf(
      "%lu right, %lu errors; %lu launches, %lu workers failed, %lu retries, %lu innocent "
      "requests sent again; kill %lu, stop %lu, noise %lu, page of noise %lu, stderr %lu\n",
      right_.load(), errors_.load(), status.launches, status.worker_failures, status.retries,
      status.innocents_resent, chaos.counts()[0].load(), chaos.counts()[1].load(),
      chaos.counts()[2].load(), chaos.counts()[3].load(), chaos.counts()[4].load());
}

}  // namespace
}  // namespace neon_redo

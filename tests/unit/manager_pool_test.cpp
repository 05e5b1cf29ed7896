// The manager's workers: when there are more of them, when fewer, and when none.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>

#include "neon_redo/manager.h"
#include "tests/unit/manager_fixture.h"

namespace neon_redo {
namespace {

using std::chrono::milliseconds;
using testing::Ask;
using testing::Collector;
using testing::FakeWorkers;
using testing::Good;
using testing::ManagerTest;

TEST_F(ManagerTest, SaysWhyNoWorkerStarts) {
  RedoManager manager(FakeWorkers(2, "no-start"));
  const Ask ask(3);
  const std::vector<PageRequest> requests(10, ask.request());
  for (const auto& page : manager.RequestRedoBatch(requests)) {
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code, ErrorCode::kWorker);
    EXPECT_NE(page.error().message.find("(exit status 1): FATAL:  no such module"),
              std::string::npos)
        << page.error().message;
  }
  EXPECT_LE(manager.status().launches, 10u);
  ManagerOptions silent = FakeWorkers(2, "mute-start");
  silent.worker.timeout = milliseconds(100);
  RedoManager mute(silent);
  EXPECT_EQ(mute.Ping().error().code, ErrorCode::kTimeout);
  ManagerOptions none = FakeWorkers(1);
  none.worker.program.clear();
  none.worker.bindir = "/nonexistent/bin";
  RedoManager no_program(none);
  EXPECT_EQ(no_program.RequestRedo(ask.request()).error().code, ErrorCode::kNotFound);
}

TEST_F(ManagerTest, OneLaunchIsSharedByAllWhoWait) {
  RedoManager manager(FakeWorkers(4, "slow-start"));
  std::vector<std::thread> callers;
  for (uint32_t t = 0; t < 8; ++t) {
    callers.emplace_back([&manager, t] {
      const Ask ask(t);
      EXPECT_EQ(Good(manager.RequestRedo(ask.request())), ask.Page());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(manager.status().launches, 2u) << "the second for those who found the first busy";
}

TEST_F(ManagerTest, GrowsWhenAllAreBusyAndShrinksWhenIdle) {
  ManagerOptions options = FakeWorkers(3);
  options.idle_timeout = milliseconds(500);
  RedoManager manager(options);
  std::vector<std::thread> callers;
  for (uint32_t t = 0; t < 6; ++t) {
    callers.emplace_back([&manager, t] {
      for (int i = 0; i < 15; ++i) {
        const Ask ask(t, "w");
        EXPECT_EQ(Good(manager.RequestRedo(ask.request())), ask.Page());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(manager.status().workers.size(), 3u);
  testing::Await("the idle workers' end", [&] { return manager.status().workers.empty(); });
  EXPECT_EQ(manager.status().worker_failures, 0u) << manager.status().last_failure;
  EXPECT_TRUE(manager.Ping());
}

// How many processors each thread of this process may use.
std::vector<size_t> ProcessorsOfThreads() {
  std::vector<size_t> counts;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    cpu_set_t set;
    const pid_t thread = std::stoi(entry.path().filename());
    if (sched_getaffinity(thread, sizeof(set), &set) == 0) {
      counts.push_back(static_cast<size_t>(CPU_COUNT(&set)));
    }
  }
  return counts;
}

TEST_F(ManagerTest, FloodedWorkersHaveAProcessorEachAndGiveItBack) {
  const std::vector<size_t> before = ProcessorsOfThreads();
  const size_t processors = before.at(0);
  RedoManager manager(FakeWorkers(processors));
  const Ask quick(3);
  const auto ready = [&] {
    const std::vector<WorkerStatus> workers = manager.status().workers;
    return workers.size() == processors &&
           std::none_of(workers.begin(), workers.end(),
                        [](const WorkerStatus& worker) { return worker.starting; });
  };
  testing::Await("a worker for each processor", [&] {
    const std::vector<PageRequest> requests(8 * processors, quick.request());
    for (const auto& page : manager.RequestRedoBatch(requests)) EXPECT_EQ(Good(page), quick.Page());
    return ready();
  });
  const Ask slow(4, "w");
  Collector collector;
  const size_t count = 10 * processors;
  for (size_t i = 0; i < count; ++i) manager.RequestRedoAsync(slow.request(), collector.For(i));
  const size_t wanted = processors > 1 ? processors : 0;  // with one there is no choice
  std::set<int> held;
  testing::Await("workers held to processors, or the end of the requests", [&] {
    if (manager.status().requests == 0) return true;
    held.clear();
    for (const WorkerStatus& worker : manager.status().workers) {
      if (worker.processor >= 0) held.insert(worker.processor);
    }
    return held.size() >= wanted;
  });
  EXPECT_EQ(held.size(), wanted);
  for (const auto& result : collector.Wait(count)) EXPECT_EQ(Good(*result), slow.Page());
  for (const WorkerStatus& worker : manager.status().workers) EXPECT_EQ(worker.processor, -1);
  for (const size_t allowed : ProcessorsOfThreads()) EXPECT_EQ(allowed, processors);
}

TEST_F(ManagerTest, KeepsASpareWarm) {
  ManagerOptions options = FakeWorkers(3);
  options.warm_spare = true;
  options.idle_timeout = milliseconds(30);
  RedoManager manager(options);
  const auto ready = [&] {
    const ManagerStatus status = manager.status();
    return std::any_of(status.workers.begin(), status.workers.end(),
                       [](const WorkerStatus& worker) {
                         return !worker.starting && worker.requests_in_flight == 0;
                       });
  };
  testing::Await("the spare", ready);
  const uint64_t launches = manager.status().launches;
  EXPECT_EQ(launches, 1u);
  usleep(100'000);
  EXPECT_TRUE(ready()) << "the spare must not end for idleness";
  const Ask slow(3, "W");
  Collector collector;
  manager.RequestRedoAsync(slow.request(), collector.For(0));
  testing::Await("another spare", ready);
  EXPECT_EQ(manager.status().launches, 2u) << "the spare is at work: another";
  EXPECT_EQ(Good(*collector.Wait(1)[0]), slow.Page());
  EXPECT_GE(manager.Quiesce(milliseconds(0)), 1u);
  EXPECT_TRUE(manager.status().workers.empty());
}

TEST_F(ManagerTest, AWorkerThatDiesIdleIsReplaced) {
  RedoManager manager(FakeWorkers(1));
  for (int round = 0; round < 5; ++round) {
    const Ask ask(3);
    EXPECT_EQ(Good(manager.RequestRedo(ask.request(AttemptKind::kGarbageCollection))), ask.Page());
    const std::vector<WorkerStatus> workers = manager.status().workers;
    ASSERT_EQ(workers.size(), 1u);
    ASSERT_EQ(kill(workers[0].pid, SIGKILL), 0);
    testing::Await("the worker's end",
                   [&] { return manager.status().worker_failures > static_cast<uint64_t>(round); });
    EXPECT_TRUE(manager.status().workers.empty());
  }
}

TEST_F(ManagerTest, QuiesceLeavesNothing) {
  const testing::Footprint before;
  RedoManager manager(FakeWorkers(3));
  EXPECT_EQ(manager.Quiesce(milliseconds(0)), 0u);
  for (int round = 0; round < 3; ++round) {
    const Ask ask(3);
    const std::vector<PageRequest> requests(100, ask.request());
    for (const auto& page : manager.RequestRedoBatch(requests)) EXPECT_EQ(Good(page), ask.Page());
    EXPECT_EQ(manager.Quiesce(std::chrono::hours(1)), 0u);
    EXPECT_GE(manager.Quiesce(milliseconds(0)), 1u);
    EXPECT_EQ(testing::FootprintLike(before), before);
    EXPECT_FALSE(testing::HaveChildren());
  }
}

TEST_F(ManagerTest, ShutdownEndsWhatIsUnderWayAndRefusesTheRest) {
  const testing::Footprint before;
  RedoManager manager(FakeWorkers(2));
  const Ask slow(3, "w");
  Collector collector;
  for (size_t i = 0; i < 10; ++i) manager.RequestRedoAsync(slow.request(), collector.For(i));
  manager.Shutdown();
  EXPECT_EQ(testing::FootprintLike(before), before);
  EXPECT_FALSE(testing::HaveChildren());
  for (const auto& result : collector.Wait(10)) EXPECT_EQ(Good(*result), slow.Page());
  EXPECT_EQ(manager.RequestRedo(slow.request()).error().code, ErrorCode::kShutdown);
  EXPECT_EQ(manager.Ping().error().code, ErrorCode::kShutdown);
  manager.RequestRedoAsync(slow.request(), collector.For(10));
  EXPECT_EQ(collector.Wait(11)[10]->error().code, ErrorCode::kShutdown);
  manager.Shutdown();
}

}  // namespace
}  // namespace neon_redo

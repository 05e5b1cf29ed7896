// The redo manager against a worker that can be told to be hostile (manager_worker.cpp).
#include "neon_redo/manager.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/unit/manager_fixture.h"

namespace neon_redo {
namespace {

using std::chrono::milliseconds;
using testing::Ask;
using testing::Collector;
using testing::FakeWorkers;
using testing::Good;
using testing::ManagerTest;
using Clock = std::chrono::steady_clock;

TEST_F(ManagerTest, AnswersInAllThreeForms) {
  RedoManager manager(FakeWorkers(2));
  EXPECT_TRUE(manager.status().workers.empty()) << "launched before the first request";
  const Ask one(7);
  EXPECT_EQ(Good(manager.RequestRedo(one.request())), one.Page());
  EXPECT_TRUE(manager.Ping());
  std::vector<std::unique_ptr<Ask>> asks;
  std::vector<PageRequest> requests;
  for (uint32_t i = 0; i < 300; ++i) {
    asks.push_back(
        std::make_unique<Ask>(i, std::string(1 + i % 5, '.'), 30 + i * 37 % 3000, i % 3 > 0));
    requests.push_back(asks.back()->request());
  }
  const std::vector<Result<PageImage>> pages = manager.RequestRedoBatch(requests);
  ASSERT_EQ(pages.size(), asks.size());
  for (size_t i = 0; i < asks.size(); ++i) ASSERT_EQ(Good(pages[i]), asks[i]->Page()) << i;
  Collector collector;
  for (size_t i = 0; i < asks.size(); ++i) {
    manager.RequestRedoAsync(requests[i], collector.For(i));
  }
  const auto& results = collector.Wait(asks.size());
  for (size_t i = 0; i < asks.size(); ++i) ASSERT_EQ(Good(*results[i]), asks[i]->Page()) << i;
  EXPECT_TRUE(manager.RequestRedoBatch({}).empty());
  EXPECT_EQ(manager.status().failed_requests, 0u);
}

TEST_F(ManagerTest, CarriesLargeRecords) {
  RedoManager manager(FakeWorkers(2));
  std::vector<std::unique_ptr<Ask>> asks;
  std::vector<PageRequest> requests;
  for (size_t size : {8192u, 16384u, 16385u, 32767u, 40000u, 65536u, 1000000u, 30000000u}) {
    asks.push_back(std::make_unique<Ask>(1, "...", size));
    asks.push_back(std::make_unique<Ask>(2));
  }
  for (const auto& ask : asks) requests.push_back(ask->request());
  const auto pages = manager.RequestRedoBatch(requests);
  for (size_t i = 0; i < asks.size(); ++i) EXPECT_EQ(Good(pages[i]), asks[i]->Page());
}

TEST_F(ManagerTest, RefusesWhatCannotBe) {
  RedoManager manager(FakeWorkers(1));
  const auto refused = [&](const PageRequest& request, const char* why) {
    const Result<PageImage> result = manager.RequestRedo(request);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(result.error().message.find(why), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find(request.key.ToString()), std::string::npos);
  };
  const Ask ask(1);
  PageRequest request = ask.request();
  request.records = {};
  refused(request, "no records");
  request = ask.request();
  request.key = PageKey();
  refused(request, "names no block");
  request = ask.request();
  request.key = PageKey::OfSlruBlock({SlruKind::kClog, 0, 0});
  refused(request, "needs the key of a relation's block");
  request = ask.request();
  request.base_image = {};
  refused(request, "does not initialise the page");
  request = ask.request();
  request.base_image = request.base_image.first(100);
  refused(request, "100 bytes");
  const std::vector<PageRecord> native = {{Lsn(9), PageServerRecord(ClogSetAborted{{5}})}};
  request.records = native;
  request.key = PageKey::OfSlruBlock({SlruKind::kClog, 0, 0});
  request.base_image = {};
  refused(request, "no base image for ClogSetAborted");
  const std::vector<uint8_t> page(kBlockSize);
  request.base_image = page;
  request.key = PageKey::OfSlruBlock({SlruKind::kClog, 1, 0});
  refused(request, "transaction 5 is on block 0 of segment 0000");
  const std::vector<uint8_t> stub(10);
  const std::vector<PageRecord> short_record = {{Lsn(9), PostgresRecord{true, stub}}};
  request = ask.request();
  request.records = short_record;
  refused(request, "failed");
  EXPECT_EQ(manager.status().launches, 0u);
  EXPECT_EQ(manager.status().failed_requests, 8u);
}

TEST_F(ManagerTest, AlternatesNativeAndPostgresRecords) {
  RedoManager manager(FakeWorkers(1));
  const BlockTag tag{{1663, 5, 16384}, kVisibilityMapFork, 0};
  std::vector<uint8_t> bytes(40, 'a');
  bytes[24] = '.';
  const auto postgres = [&](uint64_t lsn) {
    return PageRecord{Lsn(lsn), PostgresRecord{false, bytes}};
  };
  const auto native = [](uint64_t lsn, uint32_t block) {
    return PageRecord{Lsn(lsn), PageServerRecord(ClearVisibilityMapFlags{block, {}, 3})};
  };
  const std::vector<PageRecord> records = {native(8, 1),  native(16, 2), postgres(24),
                                           postgres(32),  native(40, 3), postgres(48),
                                           native(56, 4), native(64, 5)};
  PageImage expected(kBlockSize, 0xff);
  const PageImage base = expected;
  const PageKey key = PageKey::OfBlock(tag);
  for (size_t i = 0; i < records.size();) {
    size_t end = i;
    while (end < records.size() && records[end].record.index() == records[i].record.index()) ++end;
    const std::span<const PageRecord> run = std::span(records).subspan(i, end - i);
    if (records[i].record.index() == 0) {
      expected = Ask::PageOf(tag, expected, run);
    } else {
      for (const PageRecord& r : run) {
        ASSERT_TRUE(
            ApplyPageServerRecord(std::get<PageServerRecord>(r.record), r.lsn, key, &expected));
      }
    }
    i = end;
  }
  PageRequest request;
  request.key = key;
  request.base_image = base;
  request.records = records;
  EXPECT_EQ(Good(manager.RequestRedo(request)), expected);
  const std::vector<PageRequest> many(20, request);
  for (const auto& page : manager.RequestRedoBatch(many)) EXPECT_EQ(Good(page), expected);
  Collector collector;
  for (size_t i = 0; i < 20; ++i) manager.RequestRedoAsync(request, collector.For(i));
  for (const auto& page : collector.Wait(20)) EXPECT_EQ(Good(*page), expected);
  // Native records alone need no worker and no thread.
  RedoManager idle(FakeWorkers(1, "no-start"));
  request.records = std::span(records).first(2);
  EXPECT_TRUE(idle.RequestRedo(request));
  EXPECT_EQ(idle.status().launches, 0u);
}

// Runs them at once, as they mostly wait.
template <typename Case>
void ForEach(std::initializer_list<const char*> commands, const Case& run) {
  std::vector<std::thread> threads;
  for (const char* command : commands) threads.emplace_back(run, command);
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ManagerTest, RetriesByKindAndSaysWhatHappened) {
  ForEach({"x", "k", "s", "l", "g", "c", "h"}, [](const char* command) {
    for (const auto& [kind, retries] : {std::pair{AttemptKind::kRead, 2u},
                                        {AttemptKind::kCompaction, 1u},
                                        {AttemptKind::kGarbageCollection, 0u}}) {
      if (kind != AttemptKind::kGarbageCollection && *command == 'c')
        continue;  // half a second each
      const bool hung = *command == 'h' || *command == 's';
      ManagerOptions options = FakeWorkers(2);
      if (hung) options.worker.timeout = milliseconds(300);
      RedoManager manager(options);
      const Ask ask(3, std::string(".") + command);
      const Result<PageImage> result = manager.RequestRedo(ask.request(kind));
      ASSERT_FALSE(result) << command;
      EXPECT_EQ(result.error().code, hung ? ErrorCode::kTimeout : ErrorCode::kWorker)
          << result.error().message;
      for (const std::string& part :
           {std::string("block 3 of 1663/5/16384 (main fork)"), std::string("at 5/18..5/20"),
            std::string("2 records of 121 bytes"),
            "attempt " + std::to_string(retries + 1) + " of " + std::to_string(retries + 1)}) {
        EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
      }
      const ManagerStatus status = manager.status();
      EXPECT_EQ(status.retries, retries) << command;
      EXPECT_EQ(status.worker_failures, retries + 1) << command;
      EXPECT_EQ(status.failed_requests, 1u);
    }
  });
}

TEST_F(ManagerTest, ErrorsCarryWhatTheWorkerSaidAndHowItEnded) {
  RedoManager manager(FakeWorkers(1));
  const Ask says(3, "x");
  EXPECT_NE(manager.RequestRedo(says.request())
                .error()
                .message.find("(exit status 3): PANIC:  I cannot do that"),
            std::string::npos);
  const Ask killed(3, "k");
  EXPECT_NE(manager.RequestRedo(killed.request()).error().message.find("killed by SIGKILL"),
            std::string::npos);
}

// Innocent requests under way with a culprit are answered, and are not charged an attempt.
// Of a hung worker that takes its timeout twice: for all of them, and for the culprit alone.
TEST_F(ManagerTest, TheInnocentAreSentAgain) {
  ForEach({"x", "k", "s", "l", "g", "h"}, [](const char* command) {
    for (size_t workers : {1, 3}) {
      const bool hung = *command == 'h' || *command == 's';
      ManagerOptions options = FakeWorkers(workers);
      if (hung) options.worker.timeout = milliseconds(600);
      RedoManager manager(options);
      const std::set<uint32_t> bad = hung ? std::set<uint32_t>{31} : std::set<uint32_t>{0, 31, 59};
      std::vector<std::unique_ptr<Ask>> asks;
      std::vector<PageRequest> requests;
      for (uint32_t i = 0; i < 60; ++i) {
        asks.push_back(std::make_unique<Ask>(i, bad.contains(i) ? std::string(".") + command : "..",
                                             30 + i * 131 % 2000));
        requests.push_back(asks.back()->request(AttemptKind::kGarbageCollection));
      }
      const auto pages = manager.RequestRedoBatch(requests);
      for (uint32_t i = 0; i < 60; ++i) {
        if (bad.contains(i)) {
          EXPECT_FALSE(pages[i]);
        } else {
          ASSERT_TRUE(Good(pages[i]) == asks[i]->Page()) << command << " " << i;
        }
      }
      EXPECT_EQ(manager.status().retries, 0u);
      EXPECT_EQ(manager.status().failed_requests, bad.size());
    }
  });
}

// Zeroes behind a short answer could be the next one's beginning, a new page's.
TEST_F(ManagerTest, ZeroesDoNotHideThatTheAnswerBeforeThemIsShort) {
  ManagerOptions options = FakeWorkers(1);
  options.worker.timeout = milliseconds(300);
  RedoManager manager(options);
  ASSERT_TRUE(manager.Ping());
  const Ask bad(3, ".z"), good(4);
  const auto pages = manager.RequestRedoBatch(
      std::vector<PageRequest>{bad.request(AttemptKind::kGarbageCollection), good.request()});
  EXPECT_FALSE(pages[0]);
  EXPECT_EQ(Good(pages[1]), good.Page());
}

TEST_F(ManagerTest, NoiseOnStderrAndSlownessAreNoFailure) {
  RedoManager manager(FakeWorkers(2));
  const Ask noisy(3, "e");
  const Ask slow(4, "w");
  EXPECT_EQ(Good(manager.RequestRedo(noisy.request())), noisy.Page());
  EXPECT_EQ(Good(manager.RequestRedo(slow.request())), slow.Page());
  EXPECT_EQ(manager.status().worker_failures, 0u) << manager.status().last_failure;
}

TEST_F(ManagerTest, KeepsDeadlines) {
  ManagerOptions options = FakeWorkers(1);
  RedoManager manager(options);
  ASSERT_TRUE(manager.Ping());
  const Ask hangs(3, "h");
  const Ask behind(4);
  const Ask large(5, ".", 10'000'000);
  PageRequest first = hangs.request();
  first.deadline = milliseconds(150);
  PageRequest second = behind.request();
  second.deadline = milliseconds(50);
  PageRequest third = large.request();
  third.deadline = milliseconds(50);
  Collector collector;
  const Clock::time_point start = Clock::now();
  manager.RequestRedoAsync(first, collector.For(0));
  manager.RequestRedoAsync(second, collector.For(1));
  const Result<PageImage> result = manager.RequestRedo(second);
  const Result<PageImage> cut_off = manager.RequestRedo(third);
  const auto& results = collector.Wait(2);
  EXPECT_LT(Clock::now() - start, milliseconds(10'000)) << "the worker's timeout is no deadline";
  for (const Result<PageImage>* late : {&*results[0], &*results[1], &result, &cut_off}) {
    ASSERT_FALSE(*late);
    EXPECT_EQ(late->error().code, ErrorCode::kTimeout) << late->error().message;
  }
}

TEST_F(ManagerTest, AHungWorkerIsNotWaitedForWhenNobodyWaitsForItsAnswer) {
  RedoManager manager(FakeWorkers(1));
  const Ask hangs(3, "h");
  const Ask behind(4);
  PageRequest request = hangs.request();
  request.deadline = milliseconds(100);
  Collector collector;
  const Clock::time_point start = Clock::now();
  manager.RequestRedoAsync(request, collector.For(0));
  EXPECT_EQ(Good(manager.RequestRedo(behind.request())), behind.Page());
  EXPECT_LT(Clock::now() - start, milliseconds(15'000)) << "the worker's timeout is 20 s";
  EXPECT_EQ(collector.Wait(1)[0]->error().code, ErrorCode::kTimeout);
}

TEST_F(ManagerTest, ALateAnswerIsNobodysAnswer) {
  RedoManager manager(FakeWorkers(1));
  const Ask slow(3, "w");
  const Ask next(4);
  PageRequest request = slow.request();
  request.deadline = milliseconds(10);
  EXPECT_EQ(manager.RequestRedo(request).error().code, ErrorCode::kTimeout);
  EXPECT_EQ(Good(manager.RequestRedo(next.request())), next.Page());
  EXPECT_EQ(manager.status().worker_failures, 0u) << manager.status().last_failure;
}

TEST_F(ManagerTest, ASlowRequestDoesNotHoldUpOthers) {
  RedoManager manager(FakeWorkers(2));
  const Ask slow(3, "W");
  const Ask quick(4);
  Collector collector;
  ASSERT_TRUE(manager.Ping());
  manager.RequestRedoAsync(slow.request(), collector.For(0));
  manager.RequestRedoAsync(slow.request(), collector.For(1));  // grows
  testing::Await("a second worker", [&] {
    const ManagerStatus status = manager.status();
    return status.workers.size() == 2 && !status.workers[1].starting;
  });
  // The second worker has nothing under way.
  EXPECT_EQ(Good(manager.RequestRedo(quick.request())), quick.Page());
  EXPECT_GT(manager.status().workers[0].requests_in_flight, 0u);
  collector.Wait(2);
}

TEST_F(ManagerTest, CompletionsMayAskAgain) {
  RedoManager manager(FakeWorkers(2));
  const Ask ask(3);
  std::atomic<int> left = 200;
  std::function<void(Result<PageImage>)> again = [&](Result<PageImage> result) {
    EXPECT_EQ(Good(result), ask.Page());
    if (--left > 0) manager.RequestRedoAsync(ask.request(), again);
  };
  manager.RequestRedoAsync(ask.request(), again);
  testing::Await("all answers", [&] { return left <= 0; });
}

TEST_F(ManagerTest, ManyThreadsMixedForms) {
  RedoManager manager(FakeWorkers(2));
  std::vector<std::thread> callers;
  for (uint32_t t = 0; t < 8; ++t) {
    callers.emplace_back([&manager, t] {
      for (uint32_t i = 0; i < 100; ++i) {
        const Ask a(t * 1000 + i, "...", 30 + i * 97 % 5000);
        const Ask b(i, ".", 100);
        if (t % 3 == 0) {
          EXPECT_EQ(Good(manager.RequestRedo(a.request())), a.Page());
        } else if (t % 3 == 1) {
          const std::vector<PageRequest> requests = {a.request(), b.request(), a.request()};
          const auto pages = manager.RequestRedoBatch(requests);
          EXPECT_EQ(Good(pages[0]), a.Page());
          EXPECT_EQ(Good(pages[1]), b.Page());
          EXPECT_EQ(Good(pages[2]), a.Page());
        } else {
          Collector collector;
          manager.RequestRedoAsync(a.request(), collector.For(0));
          manager.RequestRedoAsync(b.request(), collector.For(1));
          const auto& results = collector.Wait(2);
          EXPECT_EQ(Good(*results[0]), a.Page());
          EXPECT_EQ(Good(*results[1]), b.Page());
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(manager.status().worker_failures, 0u) << manager.status().last_failure;
}

}  // namespace
}  // namespace neon_redo

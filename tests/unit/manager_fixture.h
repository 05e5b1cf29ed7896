// Requests for the manager's tests, and the pages that tests/unit/manager_worker.cpp answers.
#ifndef NEON_REDO_TESTS_UNIT_MANAGER_FIXTURE_H_
#define NEON_REDO_TESTS_UNIT_MANAGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cpp_core/redo/worker/frames.h"
#include "neon_redo/manager.h"
#include "tests/unit/await.h"
#include "tests/unit/footprint.h"
#include "tests/unit/programs.h"

// GCC 12 sees uninitialised members in the alternatives that a moved variant does not hold.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace neon_redo::testing {

inline const BlockTag kTag{{1663, 5, 16384}, kMainFork, 0};

// A request for a block, with records of which the command is the first byte behind the header.
class Ask {
 public:
  explicit Ask(uint32_t block, std::string commands = "..", size_t size = 60, bool base = true)
      : tag_{kTag.rel, kTag.fork, block} {
    if (base) base_.assign(kBlockSize, 0);
    for (size_t i = 0; i < commands.size(); ++i) {
      std::vector<uint8_t>& bytes = bytes_.emplace_back(size + i, static_cast<uint8_t>(block + i));
      bytes[24] = static_cast<uint8_t>(commands[i]);
    }
    for (size_t i = 0; i < bytes_.size(); ++i) {
      PageRecord& record = records_.emplace_back();
      record.lsn = Lsn(0x500000000 + 8 * (uint64_t{block} + i));
      record.record = PostgresRecord{!base, bytes_[i]};
    }
  }
  Ask(const Ask&) = delete;

  PageRequest request(AttemptKind kind = AttemptKind::kRead) const {
    PageRequest request;
    request.key = PageKey::OfBlock(tag_);
    request.lsn = records_.empty() ? Lsn(1) : records_.back().lsn;
    request.base_image = base_;
    request.records = records_;
    request.kind = kind;
    return request;
  }

  PageImage Page() const { return PageOf(tag_, base_, records_); }

  static PageImage PageOf(const BlockTag& tag, Bytes base, std::span<const PageRecord> records) {
    uint32_t sum = 0;
    const auto add = [&sum](const uint8_t* bytes, size_t size) {
      for (size_t i = 0; i < size; ++i) sum = sum * 31 + bytes[i];
    };
    uint8_t number[kTagSize];
    StoreTag(number, tag);
    add(number, kTagSize);  // of B
    if (!base.empty()) {
      add(number, kTagSize);
      add(base.data(), base.size());
    }
    uint64_t lsn = 0;
    for (const PageRecord& record : records) {
      lsn = record.lsn.value;
      StoreBe64(number, lsn);
      add(number, 8);
      const Bytes bytes = std::get<PostgresRecord>(record.record).record;
      add(bytes.data(), bytes.size());
    }
    PageImage page(kBlockSize, static_cast<uint8_t>(sum));
    const uint32_t halves[2] = {static_cast<uint32_t>(lsn >> 32), static_cast<uint32_t>(lsn)};
    std::memcpy(page.data(), halves, 8);
    std::memcpy(page.data() + 8, &sum, 4);
    std::memcpy(page.data() + kBlockSize - 4, &sum, 4);
    return page;
  }

 private:
  BlockTag tag_;
  std::vector<uint8_t> base_;
  std::vector<std::vector<uint8_t>> bytes_;
  std::vector<PageRecord> records_;
};

// The timeout is for workers that hang; on a busy machine one that does not may take its time.
inline ManagerOptions FakeWorkers(size_t max_workers, const std::string& mode = "") {
  ManagerOptions options;
  options.worker.program = {kManagerWorker};
  if (!mode.empty()) options.worker.program.push_back(mode);
  options.worker.timeout = std::chrono::milliseconds(20'000);
  options.max_workers = max_workers;
  options.deadline = std::chrono::milliseconds(60'000);
  return options;
}

inline PageImage Good(const Result<PageImage>& result) {
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? *result : PageImage();
}

// Calls back, and lets the test wait for it.
class Collector {
 public:
  RedoManager::Completion For(size_t i) {
    return [this, i](Result<PageImage> result) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (results_.size() <= i) results_.resize(i + 1);
      results_[i] = std::move(result);
      ++count_;
      arrived_.notify_all();
    };
  }
  std::vector<std::optional<Result<PageImage>>>& Wait(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!arrived_.wait_for(lock, 2 * kPatience, [&] { return count_ >= count; }))
      GiveUpWaiting("completions");
    return results_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<std::optional<Result<PageImage>>> results_;
  size_t count_ = 0;
};

// Checks that nothing is left when a test is over.
class ManagerTest : public ::testing::Test {
 protected:
  // With the first thread a sanitizer may start one of its own.
  static void SetUpTestSuite() {
    std::thread([] {}).join();
  }
  void TearDown() override {
    const Footprint after = FootprintLike(before_);
    EXPECT_EQ(after.descriptors, before_.descriptors);
    EXPECT_EQ(after.threads, before_.threads);
    EXPECT_FALSE(HaveChildren());
  }
  Footprint before_;
};

}  // namespace neon_redo::testing

#endif  // NEON_REDO_TESTS_UNIT_MANAGER_FIXTURE_H_

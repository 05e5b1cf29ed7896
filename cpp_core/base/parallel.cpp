#include "cpp_core/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

Status ForEachInParallel(size_t lanes, size_t items,
                         const std::function<Status(size_t lane, size_t item)>& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  Status first;
  const auto run = [&](size_t lane) {
    const Status status = Guarded([&]() -> Status {
      for (size_t item; !failed && (item = next++) < items;) RETURN_IF_ERROR(work(lane, item));
      return {};
    });
    if (status) return;
    failed = true;
    const std::lock_guard lock(mutex);
    if (first) first = status;
  };
  std::vector<std::thread> threads;
  const size_t count = std::min(lanes, items);
  threads.reserve(count);
  for (size_t lane = 1; lane < count; lane++) {
    try {
      threads.emplace_back(run, lane);
    } catch (const std::system_error&) {
      break;
    }
  }
  run(0);
  for (std::thread& thread : threads) thread.join();
  return first;
}

}  // namespace neon_redo

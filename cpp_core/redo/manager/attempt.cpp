#include "cpp_core/redo/manager/attempt.h"

#include <algorithm>

#include "cpp_core/redo/frames.h"
#include "cpp_core/redo/manager/pool_worker.h"

namespace neon_redo {

namespace {

// OutQueue copies pieces up to this size.
constexpr size_t kLargeRecord = 16384;

uint64_t PageLsn(const uint8_t* page_start) {
  return uint64_t{LoadNative<uint32_t>(page_start)} << 32 | LoadNative<uint32_t>(page_start + 4);
}

bool IsPing(const RedoRequest& request) {
  return request.base_image == nullptr && request.records.empty();
}

Attempt::Size SizeOf(const RedoRequest& request) {
  if (IsPing(request)) return {kPingFrameSize, false};
  size_t bytes = kBeginFrameSize + kGetFrameSize + request.records.size() * kApplyPrefixSize;
  if (request.base_image != nullptr) bytes += kPushFrameSize;
  size_t largest = 0;
  for (const RedoRecord& record : request.records) {
    bytes += record.record.size();
    largest = std::max(largest, record.record.size());
  }
  return {bytes, largest > kLargeRecord};
}

}  // namespace

Attempt::Attempt(const RedoRequest& r, Clock::time_point d, AttemptSink* s, size_t i)
    : request(r),
      deadline(d),
      sink(s),
      sink_is_slow(s->wants_worker_thread()),
      index(i),
      is_ping(IsPing(r)),
      size(SizeOf(r)),
      page(kBlockSize),
      base_lsn_(r.base_image != nullptr ? PageLsn(r.base_image) : 0),
      last_lsn_(r.records.empty() ? 0 : r.records.back().end.value) {}

bool Attempt::Plausible(const uint8_t* page, size_t size) {
  if (is_ping) return std::all_of(page, page + size, [](uint8_t byte) { return byte == 0; });
  const uint64_t lsn = PageLsn(page);
  bool plausible = true;
  const bool asked = WithRecords([&] {
    const std::span<const RedoRecord> records = request.records;
    // Nearly always the last.
    plausible = std::any_of(records.rbegin(), records.rend(),
                            [&](const RedoRecord& record) { return record.end.value == lsn; }) ||
                (request.base_image != nullptr && PageLsn(request.base_image) == lsn);
  });
  return asked ? plausible : lsn == base_lsn_ || lsn == last_lsn_;
}

bool Attempt::Withdraw() {
  std::shared_ptr<PoolWorker> worker;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(settled_, true)) return false;
    worker = std::move(worker_);
  }
  if (worker != nullptr && size.large) worker->Release(*this);
  return true;
}

}  // namespace neon_redo

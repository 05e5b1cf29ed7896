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

size_t BytesToSend(const RedoRequest& request) {
  if (IsPing(request)) return kPingFrameSize;
  size_t bytes = kBeginFrameSize + kGetFrameSize;
  if (request.base_image != nullptr) bytes += kPushFrameSize;
  for (const RedoRecord& record : request.records) {
    bytes += kApplyPrefixSize + record.record.size();
  }
  return bytes;
}

}  // namespace

Attempt::Attempt(const RedoRequest& r, Clock::time_point d, AttemptSink* s, size_t i)
    : request(r),
      deadline(d),
      sink(s),
      sink_is_slow(s->wants_worker_thread()),
      index(i),
      is_ping(IsPing(r)),
      is_large(std::any_of(r.records.begin(), r.records.end(),
                           [](const RedoRecord& x) { return x.record.size() > kLargeRecord; })),
      bytes(BytesToSend(r)) {
  if (r.base_image != nullptr) base_lsn_ = PageLsn(r.base_image);
  if (r.records.empty()) return;
  const auto [first, last] =
      std::minmax_element(r.records.begin(), r.records.end(),
                          [](const RedoRecord& a, const RedoRecord& b) { return a.end < b.end; });
  first_lsn_ = first->end.value;
  last_lsn_ = last->end.value;
}

bool Attempt::Plausible(const uint8_t* page_start) const {
  const uint64_t lsn = PageLsn(page_start);
  return lsn == base_lsn_ || (lsn >= first_lsn_ && lsn <= last_lsn_);
}

bool Attempt::Withdraw() {
  std::shared_ptr<PoolWorker> worker;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(settled_, true)) return false;
    worker = std::move(worker_);
  }
  if (worker != nullptr && is_large) worker->Release(*this);
  return true;
}

}  // namespace neon_redo

// Records come interleaved; sorted by request, and stably, those of one request stand together in
// their order.
#include "cpp_core/replay/worker_batch.h"

#include <algorithm>
#include <cstring>

#include "cpp_core/base/try.h"

namespace neon_redo {

uint32_t WorkerBatch::Begin(const BlockTag& tag, const uint8_t* base) {
  const auto number = static_cast<uint32_t>(tags_.size());
  tags_.push_back(tag);
  has_base_.push_back(base != nullptr);
  bases_.resize(tags_.size() * kBlockSize);
  if (base != nullptr) std::memcpy(bases_.data() + number * kBlockSize, base, kBlockSize);
  return number;
}

void WorkerBatch::Add(uint32_t request, Lsn end, Bytes record) {
  stored_.push_back({request, static_cast<uint32_t>(record.size()), bytes_.size(), end});
  bytes_.insert(bytes_.end(), record.begin(), record.end());
}

Status WorkerBatch::Send(RedoWorker* worker, const Consumer& consumer) {
  if (empty()) return {};
  RETURN_IF_ERROR(worker->Start());
  std::stable_sort(stored_.begin(), stored_.end(),
                   [](const auto& a, const auto& b) { return a.request < b.request; });
  std::vector<RedoRecord> records;
  records.reserve(stored_.size());  // spans into it must stay
  for (const StoredRecord& r : stored_)
    records.push_back({r.end, Bytes(bytes_.data() + r.offset, r.length)});
  std::vector<RedoRequest> requests;
  size_t next = 0;
  for (uint32_t i = 0; i < tags_.size(); i++) {
    const size_t first = next;
    while (next < stored_.size() && stored_[next].request == i) next++;
    requests.push_back({tags_[i], has_base_[i] ? bases_.data() + i * kBlockSize : nullptr,
                        std::span(records.data() + first, next - first)});
  }
  pages_.resize(tags_.size() * kBlockSize);
  std::vector<Status> statuses(tags_.size());
  worker->RedoBatch(requests, pages_.data(), statuses);
  for (uint32_t i = 0; i < tags_.size(); i++)
    consumer(i, pages_.data() + i * kBlockSize, statuses[i]);
  tags_.clear();
  has_base_.clear();
  bytes_.clear();
  stored_.clear();
  return {};
}

}  // namespace neon_redo

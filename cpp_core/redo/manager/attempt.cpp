#include "cpp_core/redo/manager/attempt.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpp_core/pg/page.h"
#include "cpp_core/redo/manager/record_counts.h"
#include "cpp_core/redo/worker/request_frames.h"

namespace neon_redo {

namespace {

Bytes BytesOf(const PageRecord& record) {
  return std::get_if<PostgresRecord>(&record.record)->record;
}

// A page without LSN is new, that is all zeroes, or was initialised and never logged: then it has
// its size and version (pd_pagesize_version, storage/bufpage.h). The free space amid another page
// is neither.
bool NewOrInitialised(const uint8_t* page, size_t size) {
  constexpr uint8_t kVersion = 4;  // PG_PAGE_LAYOUT_VERSION
  const PageView view(page);
  return (view.page_size() == kBlockSize && view.layout_version() == kVersion) ||
         std::all_of(page, page + size, [](uint8_t byte) { return byte == 0; });
}

size_t FramesSize(const RecordRun& run) {
  if (run.is_ping()) return kPingFrameSize;
  size_t size = kBeginFrameSize + kGetFrameSize + run.records.size() * kApplyPrefixSize;
  if (run.base_image != nullptr) size += kPushFrameSize;
  for (const PageRecord& record : run.records) size += BytesOf(record).size();
  return size;
}

// Where StoreRequest puts frames that have their place already. Nearly all records are short.
class Place {
 public:
  explicit Place(uint8_t* at) : at_(at) {}
  uint8_t* Grow(size_t n) { return std::exchange(at_, at_ + n); }
  void Append(Bytes bytes) {
    CopyBytes(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

 private:
  uint8_t* at_;
};

}  // namespace

Attempt::Attempt(const RecordRun& run, RecordCounts* counts, Clock::time_point d, AttemptSink* s,
                 size_t i)
    : deadline(d),
      sink(s),
      sink_is_slow(s->wants_worker_thread()),
      index(i),
      is_ping(run.is_ping()),
      frames_size(FramesSize(run)),
      page(kBlockSize),
      run_(run),
      counts_(counts),
      base_lsn_(run.base_image != nullptr ? PageView(run.base_image).lsn().value : 0),
      last_lsn_(run.records.empty() ? 0 : run.records.back().lsn.value) {}

void Attempt::StoreFramesTo(uint8_t* place) {
  if (is_ping) return StoreFrameHeader(place, kFramePing, 0);
  Place out(place);
  StoreRequest(
      run_.tag, run_.base_image, run_.records,
      [](const PageRecord& record) {
        return RedoRecord{record.lsn, BytesOf(record)};
      },
      &out);
  // Now, when the records are in the processor's cache. Once, however often they are sent.
  if (counts_ != nullptr) std::exchange(counts_, nullptr)->AddAll(run_.records, RecordWay::kAlong);
}

bool Attempt::Plausible(const uint8_t* page, size_t size) {
  if (is_ping) return std::all_of(page, page + size, [](uint8_t byte) { return byte == 0; });
  const uint64_t lsn = PageView(page).lsn().value;
  if (lsn == last_lsn_) return true;  // nearly always
  if (run_.base_image != nullptr && lsn == base_lsn_) {
    return lsn != 0 || NewOrInitialised(page, size);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  return !settled_ &&
         std::any_of(run_.records.begin(), run_.records.end(),
                     [&](const PageRecord& record) { return record.lsn.value == lsn; });
}

}  // namespace neon_redo

#include "cpp_core/redo/manager/attempt.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpp_core/redo/manager/record_counts.h"
#include "cpp_core/redo/request_frames.h"

namespace neon_redo {

namespace {

uint64_t PageLsn(const uint8_t* page_start) {
  return uint64_t{LoadNative<uint32_t>(page_start)} << 32 | LoadNative<uint32_t>(page_start + 4);
}

Bytes BytesOf(const PageRecord& record) {
  return std::get_if<PostgresRecord>(&record.record)->record;
}

// A page without LSN is new, that is all zeroes, or was initialised and never logged: then it has
// its size and version (pd_pagesize_version, storage/bufpage.h). The free space amid another page
// is neither.
bool NewOrInitialised(const uint8_t* page, size_t size) {
  constexpr size_t kSizeAndVersion = 18;
  constexpr uint16_t kVersion = 4;
  return LoadNative<uint16_t>(page + kSizeAndVersion) == (kBlockSize | kVersion) ||
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
    const size_t n = bytes.size();
    if (n >= 32 && n <= 64) {
      CopyEnds<32>(bytes);
    } else if (n > 64 && n <= 128) {
      CopyEnds<64>(bytes);
    } else {
      std::memcpy(at_, bytes.data(), n);
    }
    at_ += n;
  }

 private:
  // The first bytes and the last, which may overlap: no loop and no call.
  template <size_t kEnd>
  void CopyEnds(Bytes bytes) {
    std::memcpy(at_, bytes.data(), kEnd);
    std::memcpy(at_ + bytes.size() - kEnd, bytes.data() + bytes.size() - kEnd, kEnd);
  }

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
      base_lsn_(run.base_image != nullptr ? PageLsn(run.base_image) : 0),
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
  const uint64_t lsn = PageLsn(page);
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

// A record mostly lies within one page and is short, so the first bytes are read without knowing its length.
// What is longer than the rest of its page is put together from the pages after it, without their headers.
#include "cpp_core/index/record_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/files.h"
#include "cpp_core/base/open_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_page.h"
#include "neon_redo/record.h"

namespace neon_redo {

namespace {

constexpr size_t kMostLoaded = 4;  // segments in memory
constexpr size_t kUsualRead = 256;

}  // namespace

// A page that was last whole a checkpoint ago may have records in each segment since.
RecordSource::RecordSource(std::shared_ptr<const std::vector<Segment>> segments,
                           const WalIdentity& identity, size_t sources)
    : segments_(std::move(segments)),
      identity_(identity),
      most_open_(std::clamp<size_t>(OpenFileLimit() / 8 / sources, 2, 256)) {}

const Segment* RecordSource::Find(uint64_t number) const {
  const auto at = std::lower_bound(segments_->begin(), segments_->end(), number,
                                   [](const Segment& s, uint64_t n) { return s.number < n; });
  return at != segments_->end() && at->number == number ? &*at : nullptr;
}

tl::unexpected<Error> RecordSource::None(Lsn start, const char* what) const {
  const Segment* segment = Find(start.value / identity_.segment_size);
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("no record starts at {} in \"{}\": {}", start.ToString(),
                               segment ? segment->ShownAs() : "", what));
}

Result<const SegmentReader*> RecordSource::Open(uint64_t number) {
  if (const auto at = places_.find(number); at != places_.end()) {
    open_.splice(open_.begin(), open_, at->second);
    return &open_.front().reader;
  }
  const Segment* segment = Find(number);
  if (segment == nullptr)
    return None(Lsn(number * identity_.segment_size), "there is no such segment");
  ASSIGN_OR_RETURN(auto reader, SegmentReader::Open(*segment, identity_.segment_size));
  open_.push_front({number, std::move(reader), segment->is_loaded()});
  places_.emplace(number, open_.begin());
  const auto drop_last = [this](bool loaded, size_t most) {
    size_t count = 0;
    for (auto at = open_.begin(); at != open_.end(); ++at)
      if (at->is_loaded == loaded && ++count > most) {
        places_.erase(at->number);
        return void(open_.erase(at));
      }
  };
  drop_last(false, most_open_);
  drop_last(true, kMostLoaded);
  return &open_.front().reader;
}

Result<size_t> RecordSource::ReadPage(Lsn at, size_t n, uint8_t* out) {
  ASSIGN_OR_RETURN(const SegmentReader* reader, Open(at.value / identity_.segment_size));
  const ssize_t got = reader->Read(out, n, at.value % identity_.segment_size);
  if (got < 0) {
    const Segment* segment = Find(at.value / identity_.segment_size);
    return FileError("read file", segment ? segment->ShownAs() : "");
  }
  return static_cast<size_t>(got);
}

// The part of the record on the page after *page.
Status RecordSource::Append(Lsn* page, uint32_t* rest) {
  *page = *page + kWalPageSize;
  uint8_t bytes[kWalPageSize];
  const size_t wanted = std::min<size_t>(kWalPageSize, *rest + kLongPageHeaderSize);
  ASSIGN_OR_RETURN(const size_t got, ReadPage(*page, wanted, bytes));
  if (got < kLongPageHeaderSize) return None(*page, "WAL ends within it");
  const auto h = LoadNative<WalPageHeader>(bytes);
  const WalPagePlace place{*page, identity_.segment_size, identity_.version->wal_magic};
  const size_t header = PageHeaderSize(h.info);
  if (CheckWalPageHeader(h, place) != WalPageFault::kNone || !(h.info & kPageFirstIsContrecord) ||
      h.remaining != *rest)
    return None(*page, "the page does not continue it");
  const size_t n = std::min<size_t>(*rest, kWalPageSize - header);
  if (got < header + n) return None(*page, "WAL ends within it");
  record_.insert(record_.end(), bytes + header, bytes + header + n);
  *rest -= static_cast<uint32_t>(n);
  return {};
}

Result<WalRecord> RecordSource::Read(Lsn start) {
  const size_t in_page = kWalPageSize - start.value % kWalPageSize;
  // Of the last record, kept: zeroes for a new one would take longer than reading it.
  if (record_.size() < kWalPageSize) record_.resize(kWalPageSize);
  ASSIGN_OR_RETURN(size_t got,
                   ReadPage(start, std::min<size_t>(in_page, kUsualRead), record_.data()));
  if (got < sizeof(uint32_t)) return None(start, "WAL ends there");
  const auto length = LoadNative<uint32_t>(record_.data());
  if (length < kRecordHeaderSize || length > identity_.version->largest_record)
    return None(start, "its length cannot be");
  const size_t first = std::min<size_t>(length, in_page);
  if (got < first) {
    ASSIGN_OR_RETURN(const size_t more, ReadPage(start + got, first - got, record_.data() + got));
    got += more;
  }
  if (got < first) return None(start, "WAL ends within it");
  auto rest = static_cast<uint32_t>(length - first);
  if (rest != 0) record_.resize(first);
  Lsn page(start.value & ~kWalPageMask), end = start + MaxAlign(length);
  while (rest != 0) {
    const uint32_t before = rest;
    RETURN_IF_ERROR(Append(&page, &rest));
    const bool is_first = page.value % identity_.segment_size == 0;
    end = page + (is_first ? kLongPageHeaderSize : kShortPageHeaderSize) + MaxAlign(before);
  }
  const Bytes record(record_.data(), length);
  if (!RecordView::VerifyCrc(record)) return None(start, "its CRC is wrong");
  const auto h = LoadNative<RecordHeader>(record.data());
  if (h.rmid == kRmXlog && (h.info & kInfoRmgrMask) == layout::xlog::kSwitch) {
    const uint64_t mask = identity_.segment_size - 1;
    end = Lsn((end.value + mask) & ~mask);
  }
  return WalRecord{start, end, record};
}

}  // namespace neon_redo

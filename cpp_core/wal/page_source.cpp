// Pages are read a window at a time with pread. The window fits the processor's second-level cache,
// so what the kernel copied is still there when the CRC of the records reads it; between 32 kB and
// 1 MB its size made no difference. No mmap: a file cut while it is read would kill the process.
#include "cpp_core/wal/page_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal/copies.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr uint64_t kWindowSize = 256 * 1024;

bool IsZero(const uint8_t* bytes, size_t n) {
  return std::all_of(bytes, bytes + n, [](uint8_t b) { return b == 0; });
}

}  // namespace

std::optional<Lsn> FindWalBefore(const Segment& segment, const WalIdentity& identity, Lsn from) {
  const uint64_t first = segment.number * identity.segment_size;
  const uint64_t wanted = from.value & ~kWalPageMask;
  if (wanted - first >= identity.segment_size) return std::nullopt;
  const auto file =
      SegmentReader::OpenStart(segment, static_cast<uint32_t>(wanted - first + kWalPageSize));
  if (!file) return std::nullopt;
  for (uint64_t page = wanted;; page -= kWalPageSize) {
    WalPageHeader header;
    const bool is_read = file->Read(reinterpret_cast<uint8_t*>(&header), sizeof(header),
                                    page - first) == sizeof(header);
    const WalPagePlace place{Lsn(page), identity.segment_size, identity.version->wal_magic, 0,
                             segment.timeline};
    const WalPageFault fault =
        is_read ? CheckWalPageHeader(header, place) : WalPageFault::kOlderPage;
    if (fault == WalPageFault::kNone)
      return page == wanted ? std::nullopt : std::optional(Lsn(page));
    // What only damage leaves is to be reported where it is.
    const bool is_zero = is_read && IsZero(reinterpret_cast<uint8_t*>(&header), sizeof(header));
    if (!is_zero && fault != WalPageFault::kOlderPage && fault != WalPageFault::kEarlierTimeline)
      return std::nullopt;
    if (page == first) return std::nullopt;
  }
}

WalPageSource::WalPageSource(std::vector<Segment> segments, const WalIdentity& identity)
    : segments_(std::move(segments)),
      identity_(identity),
      loader_(identity.segment_size),
      buffer_(new uint8_t[kWindowSize]) {}

bool WalPageSource::Fail(WalFaultKind kind, Lsn lsn, std::string what) {
  fault_ = WalFault{kind, lsn, std::move(what)};
  return false;
}

Segment* WalPageSource::Find(uint64_t number) {
  if (const auto fetched = fetched_.find(number); fetched != fetched_.end())
    return &fetched->second;
  auto it = std::lower_bound(segments_.begin(), segments_.end(), number,
                             [](const Segment& s, uint64_t n) { return s.number < n; });
  return it != segments_.end() && it->number == number ? &*it : nullptr;
}

const Segment* WalPageSource::Find(uint64_t number) const {
  return const_cast<WalPageSource*>(this)->Find(number);
}

std::string WalPageSource::FileOf(Lsn lsn) const {
  const uint64_t number = lsn.value / segment_size();
  if (const Segment* s = Find(number)) return s->ShownAs();
  const Segment& near = segments_.front();
  const std::string directory = restored_ ? "" : near.path.substr(0, near.path.rfind('/') + 1);
  return directory +
         FormatSegmentName(timeline_ ? std::max(timeline_, near.timeline) : near.timeline, number,
                           segment_size());
}

void WalPageSource::Forget() {
  window_bytes_ = 0;
  refused_ = nullptr;
  fd_.Reset();
  open_ = nullptr;
  loader_.Recycle(std::exchange(content_, {}));
  not_there_.reset();
}

// Asks the restore command for a segment that no directory has, or has whole.
Status WalPageSource::Restore(uint64_t number) {
  if (!restored_ || not_there_ == number) return {};
  Segment* const known = Find(number);
  if (known && (known->spooled || known->is_whole(segment_size()))) return {};
  ASSIGN_OR_RETURN(auto restored, restored_->Get(number));
  if (!restored) {
    if (!known || known->head != SegmentHead::kWal)
      RETURN_IF_ERROR(restored_->RefuseCompressed(number));
    not_there_ = number;
    return {};
  }
  if (known != nullptr)
    known->Add(std::move(*restored));
  else
    fetched_.emplace(number, std::move(*restored));
  return {};
}

bool WalPageSource::HasLaterSegment(Lsn lsn) {
  const uint64_t number = lsn.value / segment_size();
  if (segments_.back().number > number || (!fetched_.empty() && fetched_.rbegin()->first > number))
    return true;
  // FindLaterWal has the error.
  return Restore(number + 1) && Find(number + 1) != nullptr;
}

std::string WalPageSource::Truncation(Lsn lsn) const {
  const Segment* s = Find(lsn.value / segment_size());
  if (!s || s->file_size >= segment_size()) return {};
  return fmt::format("the segment is truncated: it has {} bytes instead of {}", s->file_size,
                     segment_size());
}

// Once for each segment, when it is read: the comparison reads all of its files.
bool WalPageSource::ChooseCopyOf(uint64_t number) {
  Segment* found = Find(number);
  if (found == nullptr || found->copies.empty() || fetched_.contains(number)) return true;
  const auto index = static_cast<size_t>(found - segments_.data());
  std::vector<std::string> notes;
  auto chosen = ChooseCopy(segments_, index, identity_, &notes);
  if (!chosen) return Fail(WalFaultKind::kIo, Lsn(number * segment_size()), chosen.error().message);
  *found = std::move(*chosen);
  AddNotes(notes);
  return true;
}

bool WalPageSource::OpenSegment(uint64_t number) {
  const Lsn start(number * segment_size());
  if (const Status restored = Restore(number); !restored)
    return Fail(WalFaultKind::kIo, start, restored.error().message);
  if (!ChooseCopyOf(number)) return false;
  Segment* segment = Find(number);
  // XLOG_SWITCH skips the rest of its segment, so a file that was cut there would not be noticed.
  const Segment* before = number > 0 ? Find(number - 1) : nullptr;
  if (segment && before && before->file_size < segment_size())
    return Fail(WalFaultKind::kPastEnd, Lsn(before->number * segment_size() + before->file_size),
                "the file ends here");
  if (!segment) return Fail(WalFaultKind::kMissing, start, "the segment is missing");
  if (segment->head == SegmentHead::kForeign)
    return Fail(WalFaultKind::kBad, start,
                fmt::format("it cannot be read as a segment of this WAL: {}", segment->problem));
  const bool is_next = open_ != nullptr && open_->number + 1 == number;
  Forget();
  Status opened = OpenContent(segment, is_next);
  if (!opened && opened.error().code == ErrorCode::kNotFound && FindAgain(segment))
    opened = OpenContent(segment, is_next);
  if (!opened)
    return Fail(opened.error().code == ErrorCode::kCorrupt ? WalFaultKind::kBad : WalFaultKind::kIo,
                start, opened.error().message);
  open_ = segment;
  while (!fetched_.empty() && fetched_.begin()->first + 1 < number)
    fetched_.erase(fetched_.begin());
  return true;
}

Status WalPageSource::OpenContent(Segment* segment, bool is_next) {
  return segment->is_loaded() ? Load(segment, is_next) : OpenFile(*segment);
}

// A receiver gives a segment its final name, and an archive may compress it or move it to another
// directory. The file that has it then is one of the same segment.
bool WalPageSource::FindAgain(Segment* segment) {
  if (listed_.directories.empty()) return false;
  const auto set = WalSet::Open(listed_);
  if (!set || set->system_identifier() != identity_.system_identifier ||
      set->segment_size() != segment_size())
    return false;
  const Segment* found = set->Find(segment->timeline, segment->number);
  if (found == nullptr || found->head != SegmentHead::kWal) return false;
  std::vector<Error> doubts = std::move(segment->doubts);
  *segment = *found;
  segment->doubts.insert(segment->doubts.end(), doubts.begin(), doubts.end());
  return ChooseCopyOf(segment->number);
}

// The content of a file that is compressed or has a checksum in its name. Who reads one segment after
// another has the next ones loaded meanwhile.
Status WalPageSource::Load(Segment* segment, bool is_next) {
  std::vector<const Segment*> after;
  for (size_t i = 1; i <= (is_next ? loader_.most_ahead() : 1); i++) {
    const Segment* next = Find(segment->number + i);
    if (next && next->is_loaded() && next->copies.empty()) after.push_back(next);
  }
  ASSIGN_OR_RETURN(content_, loader_.Take(*segment, after));
  open_bytes_ = segment->file_size = content_.size;
  return {};
}

Status WalPageSource::OpenFile(const Segment& segment) {
  ASSIGN_OR_RETURN(fd_, OpenSegmentContent(segment));
  struct stat st;
  if (fstat(fd_.get(), &st) != 0) return FileError("examine file", segment.ShownAs());
  posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  open_bytes_ = static_cast<uint64_t>(st.st_size);
  return {};
}

const uint8_t* WalPageSource::LoadPage(Lsn lsn) {
  refused_ = nullptr;
  const uint64_t number = lsn.value / segment_size();
  if ((!open_ || open_->number != number) && !OpenSegment(number)) return nullptr;
  const uint64_t offset = lsn.value & (segment_size() - 1);
  window_bytes_ = 0;
  if (offset >= open_bytes_) {
    Fail(WalFaultKind::kPastEnd, lsn, "the file ends here");
    return nullptr;
  }
  return LoadWindow(lsn, offset) && CheckHeader(window_, lsn) ? window_ : nullptr;
}

// Pages from this one on, at an offset before the end of the open segment.
bool WalPageSource::LoadWindow(Lsn lsn, uint64_t offset) {
  uint64_t bytes = std::min(segment_size() - offset, open_bytes_ - offset);
  if (content_.bytes) {
    window_ = content_.bytes.get() + offset;
  } else {
    const ssize_t got = ReadFully(fd_.get(), buffer_.get(), std::min(kWindowSize, bytes), offset);
    if (got < 0)
      return Fail(WalFaultKind::kIo, lsn, fmt::format("could not read: {}", strerror(errno)));
    window_ = buffer_.get();
    bytes = static_cast<uint64_t>(got);
  }
  // The last page of a cut file counts only if its whole header is there.
  uint64_t whole = bytes & ~kWalPageMask;
  if (bytes - whole >= kLongPageHeaderSize) {
    whole += kWalPageSize;
    // That of a loaded segment is filled up already.
    if (!content_.bytes) std::memset(buffer_.get() + bytes, 0, whole - bytes);
  }
  if (whole == 0) return Fail(WalFaultKind::kPastEnd, lsn, "the file ends here");
  window_start_ = lsn.value;
  window_bytes_ = whole;
  return true;
}

// How suspicious a page header is.
static WalFaultKind KindOf(WalPageFault fault) {
  // What a timeline left where another took its segments over, and what recycled segments hold.
  return fault == WalPageFault::kEarlierTimeline || fault == WalPageFault::kOlderPage
             ? WalFaultKind::kStale
             : WalFaultKind::kBad;
}

bool WalPageSource::CheckHeader(const uint8_t* page, Lsn lsn) {
  refused_ = page;
  if (IsZero(page, kShortPageHeaderSize))
    return Fail(WalFaultKind::kZero, lsn, "the page is empty");
  const auto h = LoadNative<WalPageHeader>(page);
  WalPagePlace place = PlaceAt(lsn);
  place.max_timeline = open_->timeline;
  if (const WalPageFault fault = CheckWalPageHeader(h, place); fault != WalPageFault::kNone)
    return Fail(KindOf(fault), lsn,
                fmt::format("{} ({})", WalPageFaultText(fault), DescribeWalPageHeader(h)));
  if (h.info & kPageLongHeader) {
    const auto l = LoadNative<WalLongPageHeader>(page + kShortPageHeaderSize);
    if (CheckWalLongPageHeader(l, identity_.system_identifier, segment_size()) !=
        WalPageFault::kNone)
      return Fail(WalFaultKind::kBad, lsn,
                  fmt::format("wrong page header (system {}, segments of {} bytes, pages of {})",
                              l.system_identifier, l.segment_size, l.page_size));
  }
  timeline_ = h.timeline;
  refused_ = nullptr;
  return true;
}

// The same in the segment of `lsn`.
Result<std::optional<Lsn>> WalPageSource::FindLaterPage(const Segment& segment, Lsn lsn,
                                                        uint64_t within) const {
  const bool is_in_memory = open_ == &segment && content_.bytes;
  SegmentReader file;
  if (!is_in_memory) {
    ASSIGN_OR_RETURN(file, SegmentReader::Open(segment, segment_size()));
  }
  const uint64_t end = (segment.number + 1) * segment_size();
  for (uint64_t page = (lsn.value & ~kWalPageMask) + kWalPageSize;
       page < end && page - lsn.value < within; page += kWalPageSize) {
    const uint64_t offset = page & (segment_size() - 1);
    WalPageHeader h;
    if (is_in_memory) {
      if (offset + sizeof(h) > content_.size) break;
      h = LoadNative<WalPageHeader>(content_.bytes.get() + offset);
    } else {
      const ssize_t n = file.Read(reinterpret_cast<uint8_t*>(&h), sizeof(h), offset);
      if (n < 0) return FileError("read file", segment.ShownAs());
      if (n != sizeof(h)) break;
    }
    WalPagePlace place = PlaceAt(Lsn(page));
    place.max_timeline = segment.timeline;
    if (CheckWalPageHeader(h, place) == WalPageFault::kNone) return Lsn(page);
  }
  return std::nullopt;
}

Result<std::optional<Lsn>> WalPageSource::FindLaterWal(Lsn lsn, uint64_t within) {
  const uint64_t number = lsn.value / segment_size();
  if (const Segment* segment = Find(number)) {
    ASSIGN_OR_RETURN(const auto later, FindLaterPage(*segment, lsn, within));
    if (later) return later;
  }
  RETURN_IF_ERROR(Restore(number + 1));
  const auto has_wal = [&](const Segment& s) {
    return s.number > number && s.head == SegmentHead::kWal && s.head_timeline >= timeline_;
  };
  for (const Segment& s : segments_)
    if (has_wal(s)) return Lsn(s.number * segment_size());
  for (const auto& [fetched, s] : fetched_)
    if (has_wal(s)) return Lsn(fetched * segment_size());
  return std::nullopt;
}

const Segment* WalPageSource::FindForeign(Lsn lsn) const {
  const auto is_foreign = [&](const Segment& s) {
    return s.number > lsn.value / segment_size() && s.head == SegmentHead::kForeign;
  };
  for (const Segment& s : segments_)
    if (is_foreign(s)) return &s;
  for (const auto& [number, s] : fetched_)
    if (is_foreign(s)) return &s;
  return nullptr;
}

}  // namespace neon_redo

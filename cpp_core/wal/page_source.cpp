// Pages are read a window at a time with pread. The window fits the processor's second-level cache,
// so what the kernel copied is still there when the CRC of the records reads it; between 32 kB and
// 1 MB its size made no difference. No mmap: a file cut while it is read would kill the process.
#include "cpp_core/wal/page_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cpp_core/base/files.h"
#include "cpp_core/wal/copies.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr uint64_t kWindowSize = 256 * 1024;

bool IsZero(const uint8_t* bytes, size_t n) {
  return std::all_of(bytes, bytes + n, [](uint8_t b) { return b == 0; });
}

// Reads until n bytes or the end of the file; the number read, or -1.
ssize_t ReadFully(int fd, uint8_t* out, size_t n, uint64_t offset) {
  size_t done = 0;
  while (done < n) {
    const ssize_t r = pread(fd, out + done, n - done, static_cast<off_t>(offset + done));
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return -1;
    if (r == 0) break;
    done += static_cast<size_t>(r);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

std::optional<Lsn> FindWalBefore(const Segment& segment, const WalIdentity& identity, Lsn from) {
  const FileDescriptor fd(open(segment.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return std::nullopt;
  const uint64_t first = segment.number * identity.segment_size;
  const uint64_t wanted = from.value & ~kWalPageMask;
  if (wanted - first >= identity.segment_size) return std::nullopt;
  for (uint64_t page = wanted;; page -= kWalPageSize) {
    WalPageHeader header;
    const bool is_read = ReadFully(fd.get(), reinterpret_cast<uint8_t*>(&header), sizeof(header),
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
    : segments_(std::move(segments)), identity_(identity), window_(new uint8_t[kWindowSize]) {}

WalPageSource::~WalPageSource() {
  if (fd_ >= 0) close(fd_);
}

bool WalPageSource::Fail(WalFaultKind kind, Lsn lsn, std::string what) {
  fault_ = WalFault{kind, lsn, std::move(what)};
  return false;
}

const Segment* WalPageSource::Find(uint64_t number) const {
  auto it = std::lower_bound(segments_.begin(), segments_.end(), number,
                             [](const Segment& s, uint64_t n) { return s.number < n; });
  return it != segments_.end() && it->number == number ? &*it : nullptr;
}

std::string WalPageSource::FileOf(Lsn lsn) const {
  const uint64_t number = lsn.value / segment_size();
  if (const Segment* s = Find(number)) return s->path;
  const Segment& near = segments_.front();
  return near.path.substr(0, near.path.rfind('/') + 1) +
         FormatSegmentName(timeline_ ? std::max(timeline_, near.timeline) : near.timeline, number,
                           segment_size());
}

void WalPageSource::Forget() {
  window_bytes_ = 0;
  refused_ = nullptr;
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  open_ = nullptr;
}

std::string WalPageSource::Truncation(Lsn lsn) const {
  const Segment* s = Find(lsn.value / segment_size());
  if (!s || s->file_size >= segment_size()) return {};
  return fmt::format("the segment is truncated: it has {} bytes instead of {}", s->file_size,
                     segment_size());
}

// Once for each segment, when it is read: the comparison reads all of its files.
void WalPageSource::ChooseCopyOf(uint64_t number) {
  const Segment* found = Find(number);
  if (found == nullptr || found->copies.empty()) return;
  const auto at = segments_.begin() + (found - segments_.data());
  const Segment* before = number > 0 ? Find(number - 1) : nullptr;
  *at = ChooseCopy({before, *found, Find(number + 1)}, identity_, &notes_);
}

bool WalPageSource::OpenSegment(uint64_t number) {
  const Lsn start(number * segment_size());
  ChooseCopyOf(number);
  const Segment* segment = Find(number);
  // XLOG_SWITCH skips the rest of its segment, so a file that was cut there would not be noticed.
  const Segment* before = number > 0 ? Find(number - 1) : nullptr;
  if (segment && before && before->file_size < segment_size())
    return Fail(WalFaultKind::kPastEnd, Lsn(before->number * segment_size() + before->file_size),
                "the file ends here");
  if (!segment) return Fail(WalFaultKind::kMissing, start, "the segment is missing");
  if (segment->head == SegmentHead::kForeign)
    return Fail(WalFaultKind::kBad, start,
                fmt::format("not a segment of this WAL: {}", segment->problem));
  Forget();
  // The file may have been replaced since it was listed (a FIFO would be waited for), or it is whole
  // by now.
  std::string path = segment->path;
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0 && errno == ENOENT && path.ends_with(kPartialSuffix)) {
    path.resize(path.size() - kPartialSuffix.size());
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  }
  struct stat st;
  if (fd_ < 0 || fstat(fd_, &st) != 0)
    return Fail(WalFaultKind::kIo, start, fmt::format("could not open: {}", strerror(errno)));
  if (!S_ISREG(st.st_mode))
    return Fail(WalFaultKind::kIo, start, "could not open: it is not a regular file");
  posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  open_ = segment;
  open_bytes_ = static_cast<uint64_t>(st.st_size);
  return true;
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
  const uint64_t wanted = std::min({kWindowSize, segment_size() - offset, open_bytes_ - offset});
  const ssize_t got = ReadFully(fd_, window_.get(), wanted, offset);
  if (got < 0) {
    Fail(WalFaultKind::kIo, lsn, fmt::format("could not read: {}", strerror(errno)));
    return nullptr;
  }
  // The last page of a cut file counts only if its whole header is there.
  const auto bytes = static_cast<uint64_t>(got);
  uint64_t whole = bytes & ~kWalPageMask;
  if (bytes - whole >= kLongPageHeaderSize) {
    whole += kWalPageSize;
    std::memset(window_.get() + bytes, 0, whole - bytes);
  }
  if (whole == 0) {
    Fail(WalFaultKind::kPastEnd, lsn, "the file ends here");
    return nullptr;
  }
  window_start_ = lsn.value;
  window_bytes_ = whole;
  return CheckHeader(window_.get(), lsn) ? window_.get() : nullptr;
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

std::optional<Lsn> WalPageSource::FindLaterWal(Lsn lsn, uint64_t within) {
  const uint64_t number = lsn.value / segment_size();
  if (const Segment* segment = Find(number)) {
    const int fd = open(segment->path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    for (uint64_t page = (lsn.value & ~kWalPageMask) + kWalPageSize;
         fd >= 0 && page / segment_size() == number && page - lsn.value < within;
         page += kWalPageSize) {
      WalPageHeader h;
      if (ReadFully(fd, reinterpret_cast<uint8_t*>(&h), sizeof(h), page & (segment_size() - 1)) !=
          sizeof(h))
        break;
      WalPagePlace place = PlaceAt(Lsn(page));
      place.max_timeline = segment->timeline;
      if (CheckWalPageHeader(h, place) == WalPageFault::kNone) {
        close(fd);
        return Lsn(page);
      }
    }
    if (fd >= 0) close(fd);
  }
  for (const Segment& s : segments_) {
    if (s.number > number && s.head == SegmentHead::kWal && s.head_timeline >= timeline_)
      return Lsn(s.number * segment_size());
  }
  return std::nullopt;
}

const Segment* WalPageSource::FindForeign(Lsn lsn) const {
  for (const Segment& s : segments_) {
    if (s.number > lsn.value / segment_size() && s.head == SegmentHead::kForeign) return &s;
  }
  return nullptr;
}

}  // namespace neon_redo

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

WalPageSource::WalPageSource(std::vector<Segment> segments, uint32_t segment_size,
                             uint64_t system_identifier)
    : segments_(std::move(segments)),
      segment_size_(segment_size),
      system_identifier_(system_identifier),
      window_(new uint8_t[kWindowSize]) {}

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
  const uint64_t number = lsn.value / segment_size_;
  if (const Segment* s = Find(number)) return s->path;
  const Segment& near = segments_.front();
  return near.path.substr(0, near.path.rfind('/') + 1) +
         FormatSegmentName(timeline_ ? std::max(timeline_, near.timeline) : near.timeline, number,
                           segment_size_);
}

void WalPageSource::Forget() {
  window_bytes_ = 0;
  refused_ = nullptr;
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  open_ = nullptr;
}

std::string WalPageSource::Truncation(Lsn lsn) const {
  const Segment* s = Find(lsn.value / segment_size_);
  if (!s || s->file_size >= segment_size_) return {};
  return fmt::format("the segment is truncated: it has {} bytes instead of {}", s->file_size,
                     segment_size_);
}

bool WalPageSource::OpenSegment(uint64_t number) {
  const Lsn start(number * segment_size_);
  const Segment* segment = Find(number);
  // XLOG_SWITCH skips the rest of its segment: that the file was cut there would go unseen.
  const Segment* before = number > 0 ? Find(number - 1) : nullptr;
  if (segment && before && before->file_size < segment_size_)
    return Fail(WalFaultKind::kPastEnd, Lsn(before->number * segment_size_ + before->file_size),
                "the file ends here");
  if (!segment) return Fail(WalFaultKind::kMissing, start, "the segment is missing");
  if (segment->head == SegmentHead::kForeign)
    return Fail(WalFaultKind::kBad, start,
                fmt::format("not a segment of this WAL: {}", segment->problem));
  Forget();
  fd_ = open(segment->path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd_ < 0 || fstat(fd_, &st) != 0)
    return Fail(WalFaultKind::kIo, start, fmt::format("could not open: {}", strerror(errno)));
  posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  open_ = segment;
  open_bytes_ = static_cast<uint64_t>(st.st_size);
  return true;
}

const uint8_t* WalPageSource::LoadPage(Lsn lsn) {
  refused_ = nullptr;
  const uint64_t number = lsn.value / segment_size_;
  if ((!open_ || open_->number != number) && !OpenSegment(number)) return nullptr;
  const uint64_t offset = lsn.value & (segment_size_ - 1);
  window_bytes_ = 0;
  if (offset >= open_bytes_) {
    Fail(WalFaultKind::kPastEnd, lsn, "the file ends here");
    return nullptr;
  }
  const uint64_t wanted = std::min({kWindowSize, segment_size_ - offset, open_bytes_ - offset});
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

// Null when the header is right. Otherwise what is wrong, and how suspicious it is.
const char* WalPageSource::HeaderFault(const WalPageHeader& h, Lsn lsn, WalFaultKind* kind) const {
  const bool first = (lsn.value & (segment_size_ - 1)) == 0;
  *kind = WalFaultKind::kBad;
  if (FindWalVersion(h.magic) == nullptr) return "wrong page magic";
  if (magic_ != 0 && h.magic != magic_) return "the page is of another PostgreSQL version";
  if (h.info & ~kPageAllFlags) return "wrong page flags";
  if (first != ((h.info & kPageLongHeader) != 0)) return "wrong kind of page header";
  if (h.timeline < timeline_) {
    // What a timeline left behind when another took its segments over.
    *kind = WalFaultKind::kStale;
    return "the page is of an earlier timeline";
  }
  if (h.timeline > open_->timeline) return "the page is of a later timeline than the file";
  if (h.address == lsn.value) return nullptr;
  if (h.address < lsn.value && h.address % kWalPageSize == 0) {
    *kind = WalFaultKind::kStale;
    return "the page is of older WAL";
  }
  return "wrong page address";
}

bool WalPageSource::CheckHeader(const uint8_t* page, Lsn lsn) {
  refused_ = page;
  if (IsZero(page, kShortPageHeaderSize))
    return Fail(WalFaultKind::kZero, lsn, "the page is empty");
  const auto h = LoadNative<WalPageHeader>(page);
  WalFaultKind kind;
  if (const char* what = HeaderFault(h, lsn, &kind))
    return Fail(kind, lsn,
                fmt::format("{} (magic {:04X}, flags {:04X}, timeline {}, address {})", what,
                            h.magic, h.info, h.timeline, Lsn(h.address).ToString()));
  if (h.info & kPageLongHeader) {
    const auto l = LoadNative<WalLongPageHeader>(page + kShortPageHeaderSize);
    if (l.system_identifier != system_identifier_ || l.segment_size != segment_size_ ||
        l.page_size != kWalPageSize)
      return Fail(WalFaultKind::kBad, lsn,
                  fmt::format("wrong page header (system {}, segments of {} bytes, pages of {})",
                              l.system_identifier, l.segment_size, l.page_size));
  }
  magic_ = h.magic;
  timeline_ = h.timeline;
  refused_ = nullptr;
  return true;
}

std::optional<Lsn> WalPageSource::FindLaterWal(Lsn lsn) {
  const uint64_t number = lsn.value / segment_size_;
  if (const Segment* segment = Find(number)) {
    const int fd = open(segment->path.c_str(), O_RDONLY | O_CLOEXEC);
    for (uint64_t page = (lsn.value & ~kWalPageMask) + kWalPageSize;
         fd >= 0 && page / segment_size_ == number; page += kWalPageSize) {
      WalPageHeader h;
      if (ReadFully(fd, reinterpret_cast<uint8_t*>(&h), sizeof(h), page & (segment_size_ - 1)) !=
          sizeof(h))
        break;
      if (FindWalVersion(h.magic) && !(h.info & ~kPageAllFlags) && h.address == page &&
          h.timeline >= timeline_ && h.timeline <= segment->timeline) {
        close(fd);
        return Lsn(page);
      }
    }
    if (fd >= 0) close(fd);
  }
  for (const Segment& s : segments_) {
    if (s.number > number && s.head == SegmentHead::kWal && s.head_timeline >= timeline_)
      return Lsn(s.number * segment_size_);
  }
  return std::nullopt;
}

const Segment* WalPageSource::FindForeign(Lsn lsn) const {
  for (const Segment& s : segments_) {
    if (s.number > lsn.value / segment_size_ && s.head == SegmentHead::kForeign) return &s;
  }
  return nullptr;
}

}  // namespace neon_redo

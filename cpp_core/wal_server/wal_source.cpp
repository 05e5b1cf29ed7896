// Valid WAL ends where the reader of records ends. To find that end, one does not have to read the
// archive: the segments before the last that starts with WAL were completed by a server. So reading
// starts at the last such segment, or at an earlier one if no record starts in it.
//
// The sender hands a segment's bytes to the kernel unseen. Therefore the headers of its pages are
// looked at once, just before the first client gets them (all 2,048 of a segment at once would keep
// every client waiting): a hole, a recycled page or another system's file must not reach a standby.
// Zeroes to the end of a segment are right only behind an XLOG_SWITCH record; then the records of
// that one segment are read.
//
// A segment whose first page is not WAL waits for its WAL, unless a later page in it is: then its
// start is damaged, and the server refuses the directory.
//
// Decompression takes longer than clients may wait, and so does a list of an archive of compressed
// segments, since the start of each is decompressed. Both are done by the threads of a Background. The
// list is a WalSource of its own, and what it knows is taken over.
//
// What is handed to clients is opened without following a symbolic link at its name: a user who may
// write into the archive cannot have other files sent to clients.
#include "cpp_core/wal_server/wal_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "cpp_core/base/guard.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/wal_page.h"
#include "cpp_core/wal/open.h"
#include "cpp_core/wal/page_source.h"
#include "cpp_core/wal/tail.h"
#include "neon_redo/bytes.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

static constexpr size_t kMoments = 4096;
// Of a segment that waits for its WAL, in bytes; each page is a system call.
static constexpr uint64_t kQuickLook = 1 << 20;
// For so many times what a list of the archive took, there is no other one.
static constexpr int kRelistRest = 10;

Result<std::unique_ptr<WalSource>> WalSource::Open(const WalSources& sources, uint64_t within) {
  std::unique_ptr<WalSource> out(new WalSource);
  ASSIGN_OR_RETURN(auto directory, WalSet::Open(sources));
  out->sources_ = sources;
  out->sources_.ending = nullptr;
  out->directory_ = std::move(directory);
  RETURN_IF_ERROR(out->Load(within));
  // One more, so that a list does not keep segments waiting.
  ASSIGN_OR_RETURN(out->background_, Background::Open(SegmentUnpacker::kThreads + 1));
  out->unpacker_ =
      std::make_unique<SegmentUnpacker>(out->directory_->identity(), out->background_.get());
  return out;
}

// The current timeline is the highest that has WAL.
Status WalSource::Load(uint64_t within) {
  timeline_ = 0;
  for (const uint32_t timeline : directory_->timelines()) {
    ASSIGN_OR_RETURN(const auto line, directory_->Line(timeline, std::nullopt));
    if (std::any_of(line.begin(), line.end(), [&](const Segment& s) {
          return s.timeline == timeline && s.head == SegmentHead::kWal;
        }))
      timeline_ = timeline;
  }
  if (timeline_ == 0)
    return MakeError(ErrorCode::kNotFound, fmt::format("no WAL in \"{}\"", directory_->path()));
  ancestors_.clear();
  const auto content = ReadHistory(timeline_);
  if (!content && content.error().code != ErrorCode::kNotFound)
    return tl::unexpected(content.error());
  if (content) {
    ASSIGN_OR_RETURN(auto forks,
                     ParseTimelineHistory(*content, timeline_, FormatHistoryName(timeline_)));
    ancestors_ = std::move(forks);
  }
  RETURN_IF_ERROR(RefuseDamage(within));
  RETURN_IF_ERROR(FindEnd());
  // WAL that goes on in segments that are not read would seem to end.
  ASSIGN_OR_RETURN(const auto line, directory_->Line(timeline_, std::nullopt));
  RETURN_IF_ERROR(directory_->RefuseCompressed(line, std::nullopt, end_, std::nullopt));
  NoteEnd();
  return {};
}

// A segment whose start is damaged does not count as one with WAL: WAL would seem to end before it,
// or the timeline not to have begun. If valid WAL follows in it, WalReader has the error. A segment
// that waits for its WAL has no valid page. within: how many bytes of the segment are looked at.
Status WalSource::RefuseDamage(uint64_t within) const {
  for (const uint32_t timeline : directory_->timelines()) {
    if (timeline < timeline_) continue;
    ASSIGN_OR_RETURN(const auto line, directory_->Line(timeline, std::nullopt));
    const auto next = std::find_if(line.rbegin(), line.rend(), [](const Segment& s) {
                        return s.head == SegmentHead::kWal;
                      }).base();
    if (next == line.end()) continue;
    const Lsn start = directory_->SegmentStart(next->number);
    WalPageSource rest({next, line.end()}, directory_->identity());
    const auto later = rest.FindLaterWal(start, within);
    // A compressed file that is in the making, or damaged: what it has is not known. end_reason() has it.
    if (!later && later.error().code == ErrorCode::kCorrupt) continue;
    if (!later) return tl::unexpected(later.error());
    if (!*later) continue;
    ASSIGN_OR_RETURN(const auto reader, OpenWal(*directory_, {start, std::nullopt, timeline}));
    if (const auto record = reader->Next(); !record) return tl::unexpected(record.error());
  }
  return {};
}

Status WalSource::FindEnd() {
  ASSIGN_OR_RETURN(auto line, directory_->Line(timeline_, std::nullopt));
  size_t first = line.size();
  while (first > 0 && (line)[first - 1].head != SegmentHead::kWal) first--;
  if (first == 0)
    return MakeError(ErrorCode::kNotFound, fmt::format("no WAL in \"{}\"", directory_->path()));
  first--;
  end_ = record_end_ = directory_->SegmentStart((line)[first].number);
  for (;; first--) {
    if (ReadTail({line.begin() + static_cast<long>(first), line.end()}, std::nullopt)) return {};
    if (first == 0 || (line)[first - 1].number + 1 != (line)[first].number) return {};
  }
}

// Moves end() on. False: no record starts here.
bool WalSource::ReadTail(std::vector<Segment> segments, std::optional<Lsn> from) {
  // A gap ends it all the same, and the reader wants none.
  for (size_t i = 1; i < segments.size(); i++) {
    if (segments[i].number != segments[i - 1].number + 1) segments.resize(i);
  }
  const std::vector<Segment> all = segments;
  const auto reader = OpenWalTail(std::move(segments), directory_->identity(), from);
  bool any = false;
  for (;;) {
    const auto record = reader->Next();
    if (!record || !*record) break;
    any = true;
    record_end_ = (*record)->end;
  }
  end_reason_ = reader->end_reason();
  end_ = std::max(end_, record_end_);
  // The last record may go on in a segment that is still to come, or to be filled.
  const Lsn boundary = directory_->SegmentStart(reader->fault().lsn.value / segment_size());
  const auto before = std::find_if(all.begin(), all.end(), [&](const Segment& s) {
    return directory_->SegmentStart(s.number + 1) == boundary;
  });
  if (any && before != all.end() && before->file_size == segment_size() && !before->is_partial)
    end_ = std::max(end_, boundary);
  return any;
}

void WalSource::NoteEnd() {
  moments_.push_back({end_, std::chrono::steady_clock::now()});
  if (moments_.size() > kMoments) moments_.pop_front();
}

std::chrono::steady_clock::time_point WalSource::KnownSince(Lsn lsn) const {
  for (const Moment& moment : moments_) {
    if (moment.end > lsn) return moment.time;
  }
  return std::chrono::steady_clock::now();
}

bool WalSource::HasNewTimeline() const { return directory_->HasHistory(timeline_ + 1); }

bool WalSource::BeginRelist() {
  if (relisting_ || Clock::now() < relist_again_) return false;
  auto sources = sources_;
  sources.ending = &background_->ending();
  const auto work = [this, sources = std::move(sources)]() -> Background::Completion {
    const auto begin = Clock::now();
    const auto fresh = std::make_shared<Result<std::unique_ptr<WalSource>>>(
        Guarded([&] { return Open(sources, kQuickLook); }));
    const auto took = Clock::now() - begin;
    return [this, fresh, took] {
      relisting_ = false;
      relist_again_ = Clock::now() + kRelistRest * took;
      relisted_news_ = Adopt(std::move(*fresh)) || relisted_news_;
    };
  };
  relisting_ = background_->Run(work).has_value();
  return relisting_;
}

bool WalSource::Collect() {
  background_->RunCompletions();
  return std::exchange(relisted_news_, false);
}

bool WalSource::Adopt(Result<std::unique_ptr<WalSource>> fresh) {
  const bool is_damaged = !fresh && fresh.error().code == ErrorCode::kCorrupt;
  damage_ = is_damaged ? fresh.error().message : "";
  // What is there now may be half of something: what was known stays good.
  if (!fresh) return false;
  WalSource& found = **fresh;
  if (found.system_identifier() != system_identifier() || found.timeline_ < timeline_ ||
      found.segment_size() != segment_size())
    return false;
  if (found.timeline_ == timeline_ && found.end_ <= end_) return false;
  // A new timeline means nothing without its history, which may come later than its first segment.
  if (found.timeline_ != timeline_ && found.ancestors_.empty()) return false;
  const Lsn before = end_;
  if (found.timeline_ != timeline_) open_.clear();
  directory_ = std::move(found.directory_);
  ancestors_ = std::move(found.ancestors_);
  timeline_ = found.timeline_;
  end_ = found.end_;
  record_end_ = found.record_end_;
  moments_ = std::move(found.moments_);
  end_reason_ = std::move(found.end_reason_);
  trouble_.clear();
  tail_read_.clear();
  NoteReplacedFiles(before);
  return true;
}

std::optional<WalSource::Switch> WalSource::FindTimeline(uint32_t timeline) const {
  if (timeline == timeline_) return Switch{Lsn(), 0};
  for (size_t i = 0; i < ancestors_.size(); i++) {
    if (ancestors_[i].timeline == timeline)
      return Switch{ancestors_[i].end,
                    i + 1 < ancestors_.size() ? ancestors_[i + 1].timeline : timeline_};
  }
  return std::nullopt;
}

uint32_t WalSource::TimelineOf(Lsn lsn) const {
  for (const TimelineFork& fork : ancestors_) {
    if (lsn < fork.end) return fork.timeline;
  }
  return timeline_;
}

Result<std::string> WalSource::ReadHistory(uint32_t timeline) const {
  return directory_->ReadHistory(timeline);
}

Result<std::shared_ptr<SegmentFile>> WalSource::OpenSegment(uint32_t timeline, uint64_t number) {
  auto file = OpenSegmentOnce(timeline, number);
  // The file was renamed after the look at it.
  if (!file && file.error().code == ErrorCode::kNotFound) file = OpenSegmentOnce(timeline, number);
  return file;
}

std::shared_ptr<SegmentFile> WalSource::OpenAhead(uint32_t timeline, uint64_t number) {
  if (!unpacker_->has_room()) return nullptr;
  auto segment = directory_->Look(timeline, number);
  if (!segment || !*segment || !(*segment)->is_loaded()) return nullptr;
  auto file = OpenFound(std::move(**segment));
  return file ? *file : nullptr;
}

Result<std::shared_ptr<SegmentFile>> WalSource::OpenSegmentOnce(uint32_t timeline,
                                                                uint64_t number) {
  ASSIGN_OR_RETURN(auto segment, directory_->Look(timeline, number));
  if (!segment) {
    const std::string name = FormatSegmentName(timeline, number, segment_size());
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("requested WAL segment {} has already been removed", name));
  }
  // What end() was found in will do, even if it has grown since.
  const auto read = std::find_if(tail_.begin(), tail_.end(), [&](const auto& file) {
    return file->segment.path == segment->path && segment->is_partial && !file->replaced;
  });
  if (read != tail_.end() && (*read)->fd) return *read;
  return OpenFound(std::move(*segment));
}

// A file that was opened before is taken, unless it is compressed and has changed.
Result<std::shared_ptr<SegmentFile>> WalSource::OpenFound(Segment segment) {
  const std::string path = segment.path;
  const auto known = open_[path].lock();
  if (known && !known->replaced && !known->failure &&
      (!known->is_unpacked || known->segment.stamp == segment.stamp)) {
    unpacker_->Touch(known);
    return known;
  }
  if (known && known->is_unpacked) known->replaced = true;
  auto file = std::make_shared<SegmentFile>();
  file->segment = std::move(segment);
  if (file->segment.is_loaded()) {
    unpacker_->Request(file);
  } else {
    ASSIGN_OR_RETURN(file->fd, OpenRegularFile(path, Links::kRefuse));
    posix_fadvise(file->fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    // The segments that end() was found in have been read, and may grow.
    file->all_good = file->segment.timeline == timeline_ &&
                     directory_->SegmentStart(file->segment.number + 1) > record_end_;
  }
  std::erase_if(open_, [](const auto& entry) { return entry.second.expired(); });
  open_[path] = file;
  return file;
}

static bool ReadPageHeader(const SegmentFile& file, uint64_t offset, WalPageHeader* h) {
  return offset + kWalPageSize <= file.segment.file_size &&
         pread(file.fd.get(), h, sizeof(*h), static_cast<off_t>(offset)) == sizeof(*h);
}

std::optional<uint64_t> WalSource::FirstBadPage(SegmentFile* file, uint64_t begin,
                                                uint64_t end) const {
  if (file->all_good) return std::nullopt;
  if (file->good_pages.empty()) file->good_pages.resize(segment_size() / kWalPageSize);
  for (uint64_t offset = begin & ~kWalPageMask; offset < end; offset += kWalPageSize) {
    const size_t page = offset / kWalPageSize;
    if (page >= file->good_pages.size()) return offset;
    if (file->good_pages[page]) continue;
    if (!PageIsGood(file, offset)) return offset;
    file->good_pages[page] = true;
  }
  return std::nullopt;
}

bool WalSource::PageIsGood(SegmentFile* file, uint64_t offset) const {
  const Segment& segment = file->segment;
  WalPageHeader h;
  if (segment.head != SegmentHead::kWal || !ReadPageHeader(*file, offset, &h)) return false;
  if (h.magic == 0) {
    const bool is_empty = h.info == 0 && h.timeline == 0 && h.address == 0 && h.remaining == 0;
    return is_empty && IsAfterSwitch(file, offset);
  }
  const WalPagePlace place{directory_->SegmentStart(segment.number) + offset, segment_size(),
                           version().wal_magic, 0, segment.timeline};
  return CheckWalPageHeader(h, place) == WalPageFault::kNone;
}

// Whether the zero page at the offset is among those that an XLOG_SWITCH record left empty. Where
// they begin is found by bisection: wherever it arrives, a page with WAL stands before a page
// without, and the records there say whether the segment ends with them. From the page before, it
// goes back to one in which a record starts; that record is the first to be read.
bool WalSource::IsAfterSwitch(SegmentFile* file, uint64_t offset) const {
  if (file->zeroes_from) return offset >= *file->zeroes_from;
  if (file->segment.file_size != segment_size() || offset == 0) return false;
  WalPageHeader h;
  uint64_t written = 0;  // a page with WAL
  uint64_t empty = offset;
  while (empty - written > kWalPageSize) {
    const uint64_t middle = written + (empty - written) / kWalPageSize / 2 * kWalPageSize;
    if (!ReadPageHeader(*file, middle, &h)) return false;
    (h.magic == 0 ? empty : written) = middle;
  }
  for (; written > 0; written -= kWalPageSize) {
    if (!ReadPageHeader(*file, written, &h)) return false;
    if (!(h.info & kPageFirstIsContrecord) ||
        PageHeaderSize(h.info) + MaxAlign(h.remaining) < kWalPageSize)
      break;
  }
  const Lsn start = directory_->SegmentStart(file->segment.number);
  Segment segment = file->segment;
  segment.content = file->fd.get();
  const auto reader = OpenWalTail({segment}, directory_->identity(), start + written);
  for (;;) {
    const auto record = reader->Next();
    if (!record || !*record) break;
  }
  if (reader->end_of_wal() != directory_->SegmentStart(file->segment.number + 1)) return false;
  file->zeroes_from = empty;
  return true;
}

}  // namespace neon_redo

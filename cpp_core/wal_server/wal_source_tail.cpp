// WAL that arrives behind the end. Plain segments are read where they lie. A compressed one is read once
// a thread has decompressed it, and not again before it has changed: an archive gets its segments whole.
// Only a receiver that compresses has one in progress.
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "cpp_core/wal_server/wal_source.h"

namespace neon_redo {

namespace {

constexpr size_t kMostAtATime = 4;  // segments
// Before one that is in progress, or had no room, is decompressed again.
constexpr std::chrono::seconds kPause{1};
// A file that cannot be decompressed is worth a word once it has not changed for so long.
constexpr std::chrono::seconds kInTheMaking{2};

}  // namespace

std::vector<Segment> WalSource::LookAtTail() {
  std::vector<Segment> segments;
  tail_goes_on_ = false;
  for (uint64_t number = record_end_.value / segment_size();; number++) {
    auto segment = directory_->Look(timeline_, number);
    trouble_ = segment ? "" : segment.error().message;
    if (!segment || !*segment) break;
    tail_goes_on_ = segments.size() == kMostAtATime;
    if (tail_goes_on_) break;
    segments.push_back(std::move(**segment));
  }
  return segments;
}

bool WalSource::Refresh() {
  const Lsn before = end_;
  std::vector<Segment> segments = LookAtTail();
  std::vector<FileStamp> stamps;
  for (const Segment& segment : segments) {
    if (segment.is_loaded()) stamps.push_back(segment.stamp);
  }
  const bool is_compressed = !segments.empty() && stamps.size() == segments.size();
  if (is_compressed && stamps == tail_read_) {
    tail_goes_on_ = false;
    return false;
  }
  tail_read_.clear();
  const bool is_whole = OpenTail(&segments);
  if (!segments.empty()) ReadTail(std::move(segments), record_end_);
  if (is_whole && is_compressed) tail_read_ = std::move(stamps);
  if (end_ == before) {
    tail_goes_on_ = false;
    return false;
  }
  NoteReplacedFiles(before);
  NoteEnd();
  return true;
}

// Leaves the segments that can be read now. Returns whether these are all.
bool WalSource::OpenTail(std::vector<Segment>* segments) {
  std::vector<std::shared_ptr<SegmentFile>> tail;
  tail_waits_ = false;
  bool all = true;
  for (size_t i = 0; i < segments->size(); i++) {
    Segment& segment = (*segments)[i];
    if (!segment.is_loaded()) continue;
    auto file = OpenOfTail(segment);
    all = file && file->fd && file->segment.stamp == segment.stamp;
    if (file) tail.push_back(file);
    if (!file || !file->fd) {
      tail_waits_ = file && file->waits;
      segments->resize(i);
      break;
    }
    segment = file->segment;
    segment.content = file->fd.get();
  }
  tail_ = std::move(tail);
  return all;
}

// Null: it cannot be read. It is tried again after a while, or, if it is damaged, once it has changed.
std::shared_ptr<SegmentFile> WalSource::OpenOfTail(const Segment& segment) {
  const auto now = Clock::now();
  const auto known = std::find_if(tail_.begin(), tail_.end(), [&](const auto& file) {
    return file->segment.path == segment.path && !file->replaced;
  });
  if (known != tail_.end()) {
    const bool is_same = (*known)->segment.stamp == segment.stamp;
    if ((*known)->waits) return *known;
    if ((*known)->fd && (is_same || (segment.is_partial && now - tail_unpacked_ < kPause))) {
      tail_failure_.reset();
      return *known;
    }
    if ((*known)->failure && (!tail_failure_ || tail_failure_->stamp != (*known)->segment.stamp))
      tail_failure_ = Failure{(*known)->segment.stamp, *(*known)->failure, now};
  }
  if (tail_failure_ && tail_failure_->stamp == segment.stamp) {
    if (now - tail_failure_->since >= kInTheMaking) trouble_ = tail_failure_->error.message;
    if (tail_failure_->error.code == ErrorCode::kCorrupt || now - tail_unpacked_ < kPause)
      return nullptr;
  }
  tail_unpacked_ = now;
  const auto file = OpenFound(segment);
  if (!file) trouble_ = file.error().message;
  return file ? *file : nullptr;
}

bool WalSource::IsOfTail(const SegmentFile& wanted) const {
  return std::any_of(tail_.begin(), tail_.end(),
                     [&](const auto& file) { return &*file == &wanted; });
}

bool WalSource::tail_ready() const {
  return std::none_of(tail_.begin(), tail_.end(), [](const auto& file) { return file->waits; });
}

// WAL behind `before` was read by the names of the files. What is open may be an older file: its name
// was given to another one (rsync), or the whole segment stands beside it, and it is the .partial.
void WalSource::NoteReplacedFiles(Lsn before) {
  std::erase_if(open_, [this, before](const auto& entry) {
    const auto file = entry.second.lock();
    if (!file) return true;
    if (directory_->SegmentStart(file->segment.number + 1) <= before || !file->fd) return false;
    if (IsOfTail(*file)) return false;
    const auto now = directory_->Look(file->segment.timeline, file->segment.number);
    if (!now || !*now) return false;  // removed; what was open stays good
    const FileStamp& stamp = (*now)->stamp;
    struct stat open;
    if (file->is_unpacked)
      file->replaced = (*now)->path != file->segment.path || stamp != file->segment.stamp;
    else if (fstat(file->fd.get(), &open) == 0)
      file->replaced = stamp.device != open.st_dev || stamp.inode != open.st_ino;
    return file->replaced;
  });
}

}  // namespace neon_redo

// Files of one segment that are equal, or of which one is the start of the other, are told apart by
// their size alone. Only where they differ are their records read. The end of valid WAL in a file is
// that of a reader of records which sees the file between its neighbours.
#include "cpp_core/wal/copies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "cpp_core/archive/segment_file.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/wal/page_source.h"
#include "cpp_core/wal/tail.h"
#include "neon_redo/record.h"

namespace neon_redo {

namespace {

constexpr size_t kChunk = 256 * 1024;

class Chooser {
 public:
  Chooser(const CopiesInLine& line, const WalIdentity& identity, std::vector<std::string>* notes)
      : line_(line),
        identity_(identity),
        notes_(notes),
        start_(line.segment.number * identity.segment_size),
        end_(start_ + identity.segment_size) {}

  Segment Choose() {
    Segment best = WithoutCopies(line_.segment);
    for (const Segment& copy : line_.segment.copies) best = Better(best, copy);
    return best;
  }

 private:
  static Segment WithoutCopies(Segment segment) {
    segment.copies.clear();
    return segment;
  }
  void Note(std::string text) { notes_->push_back(std::move(text)); }

  Segment Better(const Segment& best, const Segment& copy);
  // No first page: the copy waits for its WAL, or is damaged.
  void NoteUnread(const Segment& best, const Segment& copy);
  Result<std::optional<uint64_t>> FirstDifference(const Segment& a, const Segment& b) const;
  Lsn EndOfWal(const Segment& segment, bool with_before) const;
  // Not merely ended before this place, the first that differs.
  bool IsDamaged(const Segment& segment, Lsn at) const;

  const CopiesInLine& line_;
  const WalIdentity& identity_;
  std::vector<std::string>* const notes_;
  const Lsn start_, end_;
};

void Chooser::NoteUnread(const Segment& best, const Segment& copy) {
  if (best.head != SegmentHead::kWal) return;
  if (copy.head == SegmentHead::kForeign)
    Note(fmt::format("\"{}\" is read, since \"{}\" is not a segment of this WAL: {}", best.path,
                     copy.path, copy.problem));
  else if (copy.file_size < identity_.segment_size && !copy.is_partial)
    Note(fmt::format("\"{}\" is read, since \"{}\" is cut short: it has {} bytes instead of {}",
                     best.path, copy.path, copy.file_size, identity_.segment_size));
}

Segment Chooser::Better(const Segment& best, const Segment& copy) {
  if (best.head != SegmentHead::kWal || copy.head != SegmentHead::kWal) {
    NoteUnread(best, copy);
    return best;
  }
  const auto difference = FirstDifference(best, copy);
  if (!difference) {
    const bool is_best = SegmentReader::Open(best, identity_.segment_size).has_value();
    const Segment& chosen = is_best ? best : copy;
    Note(fmt::format("\"{}\" is read, since a copy of it cannot be: {}", chosen.path,
                     difference.error().message));
    return chosen;
  }
  if (!*difference) {
    const Segment& longer = copy.file_size > best.file_size ? copy : best;
    NoteUnread(longer, &longer == &copy ? best : copy);
    return longer;
  }
  const Lsn at = start_ + **difference;
  Lsn of_best = EndOfWal(best, true), of_copy = EndOfWal(copy, true);
  // The segment before is damaged, or the record that crosses the boundary is so in both.
  if (std::max(of_best, of_copy) < start_) {
    of_best = EndOfWal(best, false);
    of_copy = EndOfWal(copy, false);
  }
  const bool is_best = of_best >= of_copy;
  const Segment& chosen = is_best ? best : copy;
  const Segment& other = is_best ? copy : best;
  if (std::min(of_best, of_copy) > at)
    Note(fmt::format("\"{}\" and \"{}\" hold different WAL at LSN {}: the first is read",
                     chosen.path, other.path, at.ToString()));
  else if (of_best != of_copy && IsDamaged(other, at))
    Note(fmt::format("\"{}\" is read, since \"{}\" is damaged at LSN {}", chosen.path, other.path,
                     at.ToString()));
  else
    NoteUnread(chosen, other);
  return chosen;
}

// Of the bytes that both have. Nothing: they are the same.
Result<std::optional<uint64_t>> Chooser::FirstDifference(const Segment& a, const Segment& b) const {
  const Segment* files[] = {&a, &b};
  std::optional<SegmentReader> opened[2];
  for (int i = 0; i < 2; i++) {
    ASSIGN_OR_RETURN(opened[i], SegmentReader::Open(*files[i], identity_.segment_size));
  }
  const auto buffers = std::make_unique<uint8_t[]>(2 * kChunk);
  for (uint64_t done = 0;;) {
    size_t bytes = kChunk;
    for (int i = 0; i < 2; i++) {
      const ssize_t n = opened[i]->Read(buffers.get() + i * kChunk, bytes, done);
      if (n < 0) return FileError("read file", files[i]->path);
      bytes = std::min(bytes, static_cast<size_t>(n));
    }
    if (bytes == 0) return std::nullopt;
    const uint8_t* first = buffers.get();
    const auto at = std::mismatch(first, first + bytes, first + kChunk).first;
    if (at != first + bytes) return done + static_cast<uint64_t>(at - first);
    done += bytes;
  }
}

// The end of an XLOG_SWITCH record: after it the segment holds no WAL. Nothing: it is another one.
std::optional<Lsn> SwitchEnd(const WalRecord& record) {
  const auto h = LoadNative<RecordHeader>(record.bytes.data());
  if (h.rmid != kRmXlog || (h.info & kInfoRmgrMask) != layout::xlog::kSwitch) return std::nullopt;
  const Lsn end = record.start + record.bytes.size();
  const bool crosses = end.value / kWalPageSize != record.start.value / kWalPageSize;
  return crosses ? end + kShortPageHeaderSize : end;
}

// Where valid WAL ends in the file; where the last record goes on in a segment that is not there, the
// end of the segment.
Lsn Chooser::EndOfWal(const Segment& segment, bool with_before) const {
  std::vector<Segment> segments;
  if (with_before && line_.before != nullptr) segments.push_back(WithoutCopies(*line_.before));
  segments.push_back(segment);
  if (line_.after != nullptr) segments.push_back(WithoutCopies(*line_.after));
  const auto reader = OpenWalTail(std::move(segments), identity_, std::nullopt);
  WalRecord record;
  while (reader->Next(&record)) {
    const auto switch_end = SwitchEnd(record);
    if (switch_end && record.end == end_) return *switch_end;
    if (record.end >= end_) return end_;
  }
  return reader->fault().lsn >= end_ ? end_ : reader->end_of_wal();
}

// The server fills a page with zeroes before it writes records to it. So where a copy merely ends
// earlier, zeroes follow to the end of the page, and no page of this WAL after it.
bool Chooser::IsDamaged(const Segment& segment, Lsn at) const {
  WalPageSource pages({segment}, identity_);
  const Lsn page_lsn(at.value & ~kWalPageMask);
  const uint8_t* page = pages.Page(page_lsn);
  if (page != nullptr &&
      std::any_of(page + (at - page_lsn), page + kWalPageSize, [](uint8_t b) { return b != 0; }))
    return true;
  const auto later = pages.FindLaterWal(at);
  return later && *later < end_;
}

}  // namespace

Segment ChooseCopy(const CopiesInLine& line, const WalIdentity& identity,
                   std::vector<std::string>* notes) {
  return Chooser(line, identity, notes).Choose();
}

}  // namespace neon_redo

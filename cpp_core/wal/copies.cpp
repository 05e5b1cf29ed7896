// Files of one segment that are equal, or of which one is the start of the other, are told apart by
// their true size alone. Only where they differ are their records read. The end of valid WAL in a file
// is that of a reader of records which sees the file between its neighbours.
#include "cpp_core/wal/copies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

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

// Two files, read to their ends.
struct Comparison {
  std::optional<Error> errors[2];      // why they cannot be read
  uint64_t sizes[2] = {0, 0};          // what they really have
  std::optional<uint64_t> difference;  // the first, of the bytes that both have
};

// How far the WAL of a file is valid. The later record only breaks ties: nothing checks a part of it.
struct Reach {
  Lsn complete;  // the end of the last record that is whole
  Lsn begun;     // where what follows it stops to fit
  auto operator<=>(const Reach&) const = default;
};

Segment WithoutCopies(Segment segment) {
  segment.copies.clear();
  return segment;
}

class Chooser {
 public:
  Chooser(const std::vector<Segment>& line, size_t index, const WalIdentity& identity,
          std::vector<std::string>* notes)
      : all_(line),
        index_(index),
        identity_(identity),
        notes_(notes),
        start_(line[index].number * identity.segment_size),
        end_(start_ + identity.segment_size) {}

  Result<Segment> Choose() {
    Segment best = WithoutCopies(all_[index_]);
    for (const Segment& copy : all_[index_].copies) RETURN_IF_ERROR(Better(&best, copy));
    return best;
  }

 private:
  void Note(std::string text) { notes_->push_back(std::move(text)); }
  // Of the two the one that is read becomes *best, with the doubts of both.
  static void Keep(bool is_best, Segment* best, Segment* copy) {
    if (!is_best) std::swap(*best, *copy);
    best->doubts.insert(best->doubts.end(), copy->doubts.begin(), copy->doubts.end());
  }

  Status Better(Segment* best, Segment copy);
  Status BetterWal(Lsn at, Segment* best, Segment* copy);
  // The copy has no first page, or less than the other: it waits for its WAL, or is damaged.
  void LeaveOut(Segment* best, const Segment& copy);
  Comparison Compare(const Segment& a, const Segment& b) const;
  // Where reading begins, so that the record which goes on in this segment is seen as a whole.
  size_t FirstOfRecord();
  bool IsWithinRecord(const Segment& segment) const;
  Result<Reach> ReachOf(const Segment& segment, bool with_before);
  Result<Reach> ReachIn(std::vector<Segment> segments) const;
  // Not merely ended before this place, the first that differs.
  Result<bool> IsDamaged(const Segment& segment, Lsn at) const;
  Result<bool> HasPageAfter(const Segment& segment, Lsn lsn) const;

  const std::vector<Segment>& all_;
  const size_t index_;
  const WalIdentity& identity_;
  std::vector<std::string>* const notes_;
  const Lsn start_, end_;
  std::optional<size_t> first_;  // FirstOfRecord
};

void Chooser::LeaveOut(Segment* best, const Segment& copy) {
  if (best->head != SegmentHead::kWal) return;
  std::string why;
  if (copy.head == SegmentHead::kForeign)
    why = fmt::format("\"{}\" cannot be read as a segment of this WAL: {}", copy.ShownAs(),
                      copy.problem);
  else if (copy.file_size < identity_.segment_size && !copy.is_partial)
    why = fmt::format("\"{}\" is cut short: it has {} bytes instead of {}", copy.ShownAs(),
                      copy.file_size, identity_.segment_size);
  else
    return;
  Note(fmt::format("\"{}\" is read, since {}", best->ShownAs(), why));
  best->doubts.push_back({ErrorCode::kCorrupt, std::move(why)});
}

Status Chooser::Better(Segment* best, Segment copy) {
  if (best->head != SegmentHead::kWal || copy.head != SegmentHead::kWal) {
    LeaveOut(best, copy);
    return {};
  }
  const Comparison found = Compare(*best, copy);
  for (const auto& error : found.errors)
    if (error && IsShortage(error->code)) return tl::unexpected(*error);
  if (found.errors[0] || found.errors[1]) {
    // Of two that cannot be read, the reader will say so of the first.
    const bool is_best = found.errors[1].has_value();
    const Error& why = *found.errors[is_best];
    Keep(is_best, best, &copy);
    if (!is_best || !found.errors[0])
      Note(fmt::format("\"{}\" is read, since a copy of it cannot be: {}", best->ShownAs(),
                       why.message));
    best->doubts.push_back(why);
    return {};
  }
  best->file_size = found.sizes[0];
  copy.file_size = found.sizes[1];
  if (found.difference) return BetterWal(start_ + *found.difference, best, &copy);
  // A file that should be whole is not given up for one that is in progress and has no more.
  const auto rank = [](const Segment& s) { return std::pair(s.file_size, !s.is_partial); };
  Keep(rank(*best) >= rank(copy), best, &copy);
  if (copy.file_size < best->file_size) LeaveOut(best, copy);
  return {};
}

// The two differ first at this LSN.
Status Chooser::BetterWal(Lsn at, Segment* best, Segment* copy) {
  ASSIGN_OR_RETURN(Reach of_best, ReachOf(*best, true));
  ASSIGN_OR_RETURN(Reach of_copy, ReachOf(*copy, true));
  // The segment before is damaged, or the record that crosses the boundary is so in both.
  if (std::max(of_best, of_copy).complete < start_) {
    ASSIGN_OR_RETURN(of_best, ReachOf(*best, false));
    ASSIGN_OR_RETURN(of_copy, ReachOf(*copy, false));
  }
  Keep(of_best >= of_copy, best, copy);
  if (std::min(of_best, of_copy).complete > at) {
    Note(fmt::format("\"{}\" and \"{}\" hold different WAL at LSN {}: the first is read",
                     best->ShownAs(), copy->ShownAs(), at.ToString()));
    return {};
  }
  bool is_damaged = false;
  if (of_best != of_copy) {
    ASSIGN_OR_RETURN(is_damaged, IsDamaged(*copy, at));
  }
  if (!is_damaged) {
    LeaveOut(best, *copy);
    return {};
  }
  std::string why = fmt::format("\"{}\" is damaged at LSN {}", copy->ShownAs(), at.ToString());
  Note(fmt::format("\"{}\" is read, since {}", best->ShownAs(), why));
  ASSIGN_OR_RETURN(const bool has_more, HasPageAfter(*copy, std::max(of_best, of_copy).complete));
  if (has_more) best->doubts.push_back({ErrorCode::kCorrupt, std::move(why)});
  return {};
}

Comparison Chooser::Compare(const Segment& a, const Segment& b) const {
  Comparison out;
  const Segment* files[] = {&a, &b};
  std::optional<SegmentReader> opened[2];
  for (int i = 0; i < 2; i++) {
    auto file = SegmentReader::Open(*files[i], identity_.segment_size);
    if (file)
      opened[i] = std::move(*file);
    else
      out.errors[i] = file.error();
  }
  if (!opened[0] || !opened[1]) return out;
  const auto buffers = std::make_unique<uint8_t[]>(2 * kChunk);
  const uint8_t* first = buffers.get();
  size_t bytes[2] = {1, 1};
  for (uint64_t done = 0; done < identity_.segment_size && (bytes[0] > 0 || bytes[1] > 0);
       done += kChunk) {
    for (int i = 0; i < 2; i++) {
      const size_t wanted = std::min<uint64_t>(kChunk, identity_.segment_size - done);
      const ssize_t n = opened[i]->Read(buffers.get() + i * kChunk, wanted, done);
      if (n < 0) {
        out.errors[i] = FileError("read file", files[i]->ShownAs()).value();
        return out;
      }
      bytes[i] = static_cast<size_t>(n);
      out.sizes[i] += bytes[i];
    }
    const size_t common = std::min(bytes[0], bytes[1]);
    const auto at = std::mismatch(first, first + common, first + kChunk).first;
    if (!out.difference && at != first + common)
      out.difference = done + static_cast<uint64_t>(at - first);
  }
  return out;
}

// The end of an XLOG_SWITCH record: after it the segment holds no WAL. Nothing: it is another one.
std::optional<Lsn> SwitchEnd(const WalRecord& record) {
  const auto h = LoadNative<RecordHeader>(record.bytes.data());
  if (h.rmid != kRmXlog || (h.info & kInfoRmgrMask) != layout::xlog::kSwitch) return std::nullopt;
  const Lsn end = record.start + record.bytes.size();
  const bool crosses = end.value / kWalPageSize != record.start.value / kWalPageSize;
  return crosses ? end + kShortPageHeaderSize : end;
}

// All of its pages continue a record that began before it.
bool Chooser::IsWithinRecord(const Segment& segment) const {
  const auto file = SegmentReader::OpenStart(segment, kWalPageSize);
  WalPageHeader header;
  if (!file || file->Read(reinterpret_cast<uint8_t*>(&header), sizeof(header), 0) != sizeof(header))
    return false;
  const uint64_t pages = identity_.segment_size / kWalPageSize;
  return (header.info & kPageFirstIsContrecord) != 0 &&
         header.remaining >= identity_.segment_size - pages * kShortPageHeaderSize -
                                 (kLongPageHeaderSize - kShortPageHeaderSize);
}

size_t Chooser::FirstOfRecord() {
  if (first_) return *first_;
  size_t i = index_;
  while (i > 0 && all_[i - 1].number + 1 == all_[i].number) {
    i--;
    if (!IsWithinRecord(all_[i])) break;
  }
  first_ = i;
  return i;
}

Result<Reach> Chooser::ReachOf(const Segment& segment, bool with_before) {
  std::vector<Segment> segments;
  for (size_t i = with_before ? FirstOfRecord() : index_; i < index_; i++)
    segments.push_back(WithoutCopies(all_[i]));
  segments.push_back(segment);
  const size_t after = segments.size();
  // As many as the largest record can cross.
  const size_t most = identity_.version->largest_record / identity_.segment_size + 2;
  for (size_t i = index_ + 1; i < all_.size() && i <= index_ + most; i++) {
    if (all_[i].number != all_[i - 1].number + 1) break;
    segments.push_back(WithoutCopies(all_[i]));
  }
  ASSIGN_OR_RETURN(Reach best, ReachIn(segments));
  if (after == segments.size()) return best;
  // A file of the next segment may be the damaged one.
  for (const Segment& copy : all_[index_ + 1].copies) {
    if (best.complete >= end_) break;
    segments[after] = copy;
    ASSIGN_OR_RETURN(const Reach reach, ReachIn(segments));
    best = std::max(best, reach);
  }
  return best;
}

Result<Reach> Chooser::ReachIn(std::vector<Segment> segments) const {
  const auto reader = OpenWalTail(std::move(segments), identity_, std::nullopt);
  WalRecord record;
  while (reader->Next(&record)) {
    const auto switch_end = SwitchEnd(record);
    if (switch_end && record.end == end_) return Reach{*switch_end, *switch_end};
    if (record.end >= end_) return Reach{end_, end_};
  }
  const WalFault& fault = reader->fault();
  if (fault.kind == WalFaultKind::kIo && fault.lsn < end_)
    return MakeError(ErrorCode::kIo, fmt::format("LSN {}: {}", fault.lsn.ToString(), fault.what));
  return Reach{reader->end_of_wal(), std::min(fault.lsn, end_)};
}

// The server fills a page with zeroes before it writes records to it. So where a copy merely ends
// earlier, zeroes follow to the end of the page, and no page of this WAL after it.
Result<bool> Chooser::IsDamaged(const Segment& segment, Lsn at) const {
  WalPageSource pages({segment}, identity_);
  const Lsn page_lsn(at.value & ~kWalPageMask);
  const uint8_t* page = pages.Page(page_lsn);
  if (page == nullptr && pages.fault().kind == WalFaultKind::kIo)
    return MakeError(ErrorCode::kIo,
                     fmt::format("LSN {}: {}", page_lsn.ToString(), pages.fault().what));
  if (page != nullptr &&
      std::any_of(page + (at - page_lsn), page + kWalPageSize, [](uint8_t b) { return b != 0; }))
    return true;
  return HasPageAfter(segment, at);
}

// A page of this WAL, after the one that has the LSN.
Result<bool> Chooser::HasPageAfter(const Segment& segment, Lsn lsn) const {
  ASSIGN_OR_RETURN(const auto later, WalPageSource({segment}, identity_).FindLaterWal(lsn));
  return later && *later < end_;
}

}  // namespace

Result<Segment> ChooseCopy(const std::vector<Segment>& line, size_t index,
                           const WalIdentity& identity, std::vector<std::string>* notes) {
  return Chooser(line, index, identity, notes).Choose();
}

}  // namespace neon_redo

// A stretch of a file is used if all of its segments that are still there, up to its last one, are what they
// were. Those before may be gone, as an archive is shortened: what later records say does not depend on them.
#include "cpp_core/index/cover.h"

#include <algorithm>
#include <map>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/wal/copies.h"

namespace neon_redo {

Cover::Cover(std::shared_ptr<std::vector<Segment>> segments, const WalIdentity& identity,
             SegmentRange wanted, ConfirmedSegments* confirmed, std::vector<std::string>* notes)
    : segments_(std::move(segments)),
      identity_(identity),
      wanted_(wanted),
      confirmed_(confirmed),
      notes_(notes),
      records_(segments_, identity_),
      states_(segments_->size()) {}

SegmentRange Cover::Find(uint64_t first_number, uint64_t last_number) const {
  const auto place = [this](uint64_t number) {
    const auto at = std::lower_bound(segments_->begin(), segments_->end(), number,
                                     [](const Segment& s, uint64_t n) { return s.number < n; });
    return static_cast<size_t>(at - segments_->begin());
  };
  return {place(first_number), place(last_number + 1)};
}

bool Cover::IsCovered(const SegmentRange& range) const {
  size_t at = range.first;
  for (const IndexView& view : views_)
    if (view.range.first <= at && at < view.range.end) at = view.range.end;
  return at >= range.end;
}

std::vector<SegmentRange> Cover::Gaps() const {
  std::vector<SegmentRange> out;
  size_t at = wanted_.first;
  const auto add = [&](size_t end) {
    for (; at < end; at++) {
      const bool is_neighbour = !out.empty() && out.back().end == at &&
                                (*segments_)[at - 1].number + 1 == (*segments_)[at].number;
      if (is_neighbour)
        out.back().end++;
      else
        out.push_back({at, at + 1});
    }
  };
  for (const IndexView& view : views_) {
    add(std::min(view.range.first, wanted_.end));
    at = std::max(at, view.range.end);
  }
  add(wanted_.end);
  return out;
}

void Cover::Insert(IndexView view) {
  const auto at = std::lower_bound(
      views_.begin(), views_.end(), view,
      [](const IndexView& a, const IndexView& b) { return a.range.first < b.range.first; });
  views_.insert(at, std::move(view));
}

void Cover::Put(SegmentRange range, std::shared_ptr<IndexFile> file) {
  std::erase_if(views_, [&](const IndexView& view) { return range.Has(view.range); });
  const Lsn begin = file->header().begin(), end = file->header().end();
  Insert({range, std::move(file), begin, end});
}

void Cover::Share(const std::vector<IndexView>& views) {
  std::map<const IndexFile*, std::shared_ptr<IndexFile>> files;
  for (const IndexView& view : views) {
    std::shared_ptr<IndexFile>& file = files[view.file.get()];
    if (!file) file = view.file->Share();
    Insert({view.range, file, view.begin, view.end});
  }
}

void Cover::BeginAt(size_t segment) {
  std::erase_if(views_, [&](const IndexView& view) { return view.range.first < segment; });
  wanted_.first = segment;
}

bool Cover::IsKnown(const IndexedSegment& indexed, const IndexedSegment& now) {
  return IsUntouched(indexed, now) || confirmed_->Has(indexed, now);
}

// Of several copies one that the file's header has, untouched, was compared with the others when the file was
// made. So was one with the same content.
Status Cover::Choose(size_t at, const IndexedSegment* indexed) {
  State& state = states_[at];
  if (state.is_chosen) return {};
  Segment& segment = (*segments_)[at];
  std::optional<Segment> known;
  const auto try_one = [&](const Segment& copy) {
    if (known || !copy.is_whole(identity_.segment_size)) return;
    const auto now = LookAtSegment(copy);
    if (now && IsKnown(*indexed, *now)) known = copy;
  };
  if (!segment.copies.empty()) {
    if (indexed != nullptr) {
      try_one(segment);
      for (const Segment& copy : segment.copies) try_one(copy);
    }
    if (!known) {
      ASSIGN_OR_RETURN(known, ChooseCopy(*segments_, at, identity_, notes_));
    }
    known->copies.clear();
    segment = std::move(*known);
  }
  state.is_chosen = true;
  return {};
}

Status Cover::ChooseCopies(const SegmentRange& range) {
  for (size_t at = range.first; at < range.end; at++) RETURN_IF_ERROR(Choose(at, nullptr));
  return {};
}

Status Cover::ChooseAfter(Lsn end, const IndexedStretch& stretch) {
  if (stretch.last_end <= end) return {};
  const uint64_t size = identity_.segment_size;
  return ChooseCopies(Find(end.value / size, (stretch.last_end.value - 1) / size));
}

Status Cover::ChooseAfterViews() {
  if (views_.empty()) return {};
  const IndexView& last = views_.back();
  if (last.end == last.begin) return {};
  return ChooseAfter(last.end, last.file->header().StretchOf(Lsn(last.end.value - 1)));
}

Result<bool> Cover::IsSame(size_t at, const IndexedSegment& indexed) {
  const Segment& segment = (*segments_)[at];
  if (segment.timeline != indexed.timeline || segment.number != indexed.number) return false;
  RETURN_IF_ERROR(Choose(at, &indexed));
  std::optional<IndexedSegment>& now = states_[at].now;
  if (!now) {
    ASSIGN_OR_RETURN(now, LookAtSegment(segment));
  }
  if (IsKnown(indexed, *now)) return true;
  if (now->hash == 0) {
    auto read = DescribeSegment(segment, identity_.segment_size);
    if (!read && read.error().code != ErrorCode::kCorrupt) return tl::unexpected(read.error());
    if (!read) return false;
    now = *read;
  }
  if (now->hash != indexed.hash) return false;
  confirmed_->Add(*now);
  return true;
}

// It may end in a segment that is not of the file, or has changed.
Result<bool> Cover::HasLastRecord(const IndexedStretch& stretch) {
  const auto last = records_.Read(stretch.last_start);
  if (last) return LoadNative<RecordHeader>(last->bytes.data()).crc == stretch.last_crc;
  const ErrorCode code = last.error().code;
  if (code == ErrorCode::kNotFound || code == ErrorCode::kCorrupt) return false;
  return tl::unexpected(last.error());
}

Result<std::optional<IndexView>> Cover::FittingStretch(const std::shared_ptr<IndexFile>& file,
                                                       size_t stretch) {
  const IndexHeader& header = file->header();
  const IndexedStretch& of = header.stretches[stretch];
  const uint64_t size = identity_.segment_size, number = header.segments.front().number;
  const uint64_t after = stretch + 1 < header.stretches.size()
                             ? header.stretches[stretch + 1].begin.value / size
                             : header.segments.back().number + 1;
  SegmentRange range = Find(of.begin.value / size, after - 1);
  const auto& all = *segments_;
  const bool is_wanted = range.first < wanted_.end && range.end > wanted_.first;
  if (!is_wanted || all[range.end - 1].number + 1 != after) return std::nullopt;
  const bool is_last = range.end == all.size();
  if (of.end.value > after * size || (of.end.value < after * size && !is_last)) return std::nullopt;
  for (const IndexView& view : views_) {
    if (view.range.end >= range.end && view.range.first < range.end) return std::nullopt;
    if (view.range.end > range.first && view.range.end < range.end) range.first = view.range.end;
  }
  for (size_t at = range.end; at-- > range.first;) {
    const bool is_neighbour = at + 1 == range.end || all[at].number + 1 == all[at + 1].number;
    ASSIGN_OR_RETURN(const bool is_same, is_neighbour
                                             ? IsSame(at, header.segments[all[at].number - number])
                                             : Result<bool>(false));
    if (is_neighbour && !is_same) return std::nullopt;
    if (is_neighbour) continue;
    range.first = at + 1;
    break;
  }
  // Those that are wanted lie before a segment that is missing.
  if (range.first >= wanted_.end) return std::nullopt;
  const Lsn begin = std::max(of.begin, Lsn(all[range.first].number * size));
  return IndexView{range, file, begin, of.end};
}

// The stretches that can be used, those together that are neighbours.
Result<std::vector<IndexView>> Cover::Fitting(const std::shared_ptr<IndexFile>& file) {
  const IndexHeader& header = file->header();
  std::vector<IndexView> out;  // the newest first
  for (size_t i = header.stretches.size(); i-- > 0;) {
    ASSIGN_OR_RETURN(auto view, FittingStretch(file, i));
    if (!view) continue;
    const bool is_neighbour =
        !out.empty() && out.back().range.first == view->range.end && out.back().begin == view->end;
    const IndexedStretch& of = header.stretches[i];
    const Lsn known = is_neighbour ? out.back().end : view->end;
    if (of.last_start.valid() && of.last_end > known) {
      RETURN_IF_ERROR(ChooseAfter(known, of));
      ASSIGN_OR_RETURN(const bool has_last, HasLastRecord(of));
      if (!has_last) continue;
    }
    if (is_neighbour) {
      out.back().range.first = view->range.first;
      out.back().begin = view->begin;
    } else {
      out.push_back(std::move(*view));
    }
  }
  return out;
}

Status Cover::Use(const std::shared_ptr<IndexFile>& file) {
  const IndexHeader& header = file->header();
  if (header.system_identifier != identity_.system_identifier ||
      header.segment_size != identity_.segment_size || header.is_cut)
    return {};
  ASSIGN_OR_RETURN(auto views, Fitting(file));
  for (IndexView& view : views) Insert(std::move(view));
  return {};
}

}  // namespace neon_redo

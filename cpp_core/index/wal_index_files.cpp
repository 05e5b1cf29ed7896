// WAL is indexed in groups of 256 MB, each aligned to a multiple of that. 16 files of one size that are neighbours,
// and end at a multiple of 16 times that, are merged into one of the next size: so there are fewer than 16
// of each size. Segments after the last whole group have a file each, and are merged by 16, too. Only
// files of what a question is about are looked at or made, so which files there are does not depend on it.
//
// What is made here is used by its open descriptor: by then another process may have put a file of other WAL
// into its place. Files that a larger one has replaced are removed; who has just seen their names looks again.
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>

#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/build.h"
#include "cpp_core/index/merge.h"
#include "cpp_core/index/wal_index.h"

namespace neon_redo {

namespace {

// Files that are made before they are merged: each has a descriptor.
constexpr size_t kMostPieces = 64;
constexpr int kMostRounds = 20;

Status MakeDirectories(const std::string& path) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at);
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      struct stat st;
      if (stat(part.c_str(), &st) != 0) return FileError("create directory", part);
    }
    if (at != std::string::npos) at++;
  }
  return {};
}

// How many segments files have, besides single ones.
std::vector<uint64_t> SizesOf(uint64_t per_group, uint64_t fan_out, uint64_t most) {
  uint64_t size = per_group > 1 ? per_group : fan_out;
  while (size / fan_out > 1) size /= fan_out;
  std::vector<uint64_t> out;
  for (; out.empty() || out.back() < most; size *= fan_out) out.push_back(size);
  return out;
}

bool Names(const IndexFile& file, uint32_t timeline, uint64_t number) {
  const auto& all = file.header().segments;
  const uint64_t at = number - all.front().number;
  return number >= all.front().number && at < all.size() && all[at].timeline == timeline;
}

}  // namespace

// A file of the directory, by its name.
struct WalIndex::ListedFile {
  std::string name;
  uint32_t first_timeline, last_timeline;
  uint64_t first, last;

  uint64_t size() const { return last - first + 1; }
};

WalIndex::WalIndex(const WalSet& wal, const WalRange& range, const IndexOptions& options)
    : wal_(wal),
      range_(range),
      options_(options),
      directory_(fmt::format("{}/{}", options.directory, wal.system_identifier())),
      cache_(rocksdb::NewLRUCache(options.cache)),
      notes_(wal.notes()) {}

Result<std::unique_ptr<WalIndex>> WalIndex::Open(const WalSet& wal, const WalRange& range,
                                                 const IndexOptions& options) {
  if (wal.restores())
    return MakeError(ErrorCode::kUnsupported,
                     "WAL that a restore command brings cannot be indexed, since the command "
                     "cannot list its archive");
  std::unique_ptr<WalIndex> out(new WalIndex(wal, range, options));
  RETURN_IF_ERROR(out->ListSegments());
  RETURN_IF_ERROR(MakeDirectories(out->directory_));
  ASSIGN_OR_RETURN(Directory directory, Directory::Open(out->directory_));
  if (std::string warning = directory.OwnerWarning(); !warning.empty())
    out->notes_.push_back(std::move(warning));
  RETURN_IF_ERROR(RemoveLeftovers(directory));
  out->opened_ = std::make_shared<const Directory>(std::move(directory));
  out->confirmed_.emplace(out->opened_.get());
  RETURN_IF_ERROR(out->CoverAll());
  out->options_.progress = nullptr;  // it may refer to what ends with the caller
  std::set<const IndexFile*> files;
  for (const IndexView& view : out->views())
    if (files.insert(view.file.get()).second) out->counts_.bytes += view.file->bytes();
  out->counts_.files = files.size();
  return out;
}

std::unique_ptr<WalIndex> WalIndex::Share() const {
  std::unique_ptr<WalIndex> out(new WalIndex(wal_, range_, options_));
  out->opened_ = opened_;
  out->confirmed_.emplace(opened_.get());
  out->cache_ = cache_;
  out->timeline_ = timeline_;
  // A repair may choose copies of others.
  out->segments_ = std::make_shared<std::vector<Segment>>(*segments_);
  out->wanted_ = wanted_;
  out->hole_ = hole_;
  out->per_group_ = per_group_;
  out->sizes_ = sizes_;
  out->damage_ = damage_;
  out->notes_.clear();
  out->counts_ = counts_;
  out->cover_ = std::make_unique<Cover>(out->segments_, wal_.identity(), wanted_, &*out->confirmed_,
                                        &out->notes_);
  out->cover_->Share(views());
  return out;
}

// Nothing after a segment that is missing answers questions. end: after the number of the last that is wanted.
void WalIndex::EndAtHole(uint64_t end) {
  const auto& all = *segments_;
  for (size_t at = wanted_.first + 1; at < all.size() && at <= wanted_.end; at++) {
    const uint64_t number = all[at - 1].number + 1;
    if (number == all[at].number || number >= end) continue;
    hole_ = Error{ErrorCode::kCorrupt,
                  fmt::format("WAL segment \"{}\" is missing, but later segments are there",
                              FormatSegmentName(all[at].timeline, number, wal_.segment_size()))};
    wanted_.end = at;
    return;
  }
}

// Of the line, with the copies of each. Wanted are those of the whole groups that the range touches, and others up to
// its end.
Status WalIndex::ListSegments() {
  ASSIGN_OR_RETURN(WalLine line, wal_.FindLine(range_.timeline, range_.from));
  timeline_ = line.timeline;
  RETURN_IF_ERROR(wal_.RefuseCompressed(line.segments, timeline_, range_.from, range_.to));
  // With those before the range.
  ASSIGN_OR_RETURN(line, wal_.FindLine(timeline_, std::nullopt));
  const uint32_t size = wal_.segment_size();
  per_group_ = std::max<uint64_t>(1, options_.group / size);
  segments_ = std::make_shared<std::vector<Segment>>(std::move(line.segments));
  std::vector<Segment>& all = *segments_;
  while (!all.empty() && all.back().head != SegmentHead::kWal) all.pop_back();
  sizes_ = SizesOf(per_group_, options_.fan_out, all.empty() ? 0 : all.back().number + 1);
  const auto place = [&](uint64_t number) {
    const auto at = std::lower_bound(all.begin(), all.end(), number,
                                     [](const Segment& s, uint64_t n) { return s.number < n; });
    return static_cast<size_t>(at - all.begin());
  };
  const uint64_t first = range_.from ? range_.from->value / size : 0;
  uint64_t end = all.empty() ? 0 : all.back().number + 1;
  if (range_.to) {
    const uint64_t last = range_.to->value == 0 ? 0 : (range_.to->value - 1) / size;
    const uint64_t end_of_group = (last / per_group_ + 1) * per_group_;
    // What comes after the range is not indexed before its group is whole: it may still be written.
    end = std::min(end, end_of_group < end ? end_of_group : last + 1);
  }
  wanted_.first = place(first);
  wanted_.end = std::max(wanted_.first, place(end));
  EndAtHole(end);
  if (wanted_.first == wanted_.end || all[wanted_.first].number != first) return {};
  const auto is_before = [&](const Segment& s, const Segment& next) {
    return s.number + 1 == next.number && s.number / per_group_ == first / per_group_ &&
           s.head == SegmentHead::kWal;
  };
  while (wanted_.first > 0 && is_before(all[wanted_.first - 1], all[wanted_.first]))
    wanted_.first--;
  return {};
}

// The largest first.
Result<std::vector<WalIndex::ListedFile>> WalIndex::ListFiles() const {
  ASSIGN_OR_RETURN(const auto names, opened_->Names());
  constexpr std::string_view kSuffix = ".sst";
  constexpr size_t kName = 24;
  const uint32_t size = wal_.segment_size();
  std::vector<ListedFile> out;
  for (const std::string& name : names) {
    if (!name.ends_with(kSuffix)) continue;
    const std::string_view stem = std::string_view(name).substr(0, name.size() - kSuffix.size());
    const bool is_range = stem.size() == 2 * kName + 1 && stem[kName] == '-';
    const auto first = ParseSegmentName(stem.substr(0, kName));
    const auto last = is_range ? ParseSegmentName(stem.substr(kName + 1)) : first;
    if (!first || !last || (!is_range && stem.size() != kName)) continue;
    ListedFile file{name, first->timeline, last->timeline, SegmentNumber(*first, size),
                    SegmentNumber(*last, size)};
    if (file.first <= file.last) out.push_back(std::move(file));
  }
  std::sort(out.begin(), out.end(), [](const ListedFile& a, const ListedFile& b) {
    return std::pair(b.size(), a.name) < std::pair(a.size(), b.name);
  });
  return out;
}

Status WalIndex::CoverAll() {
  for (int round = 0; round < kMostRounds; round++) {
    ASSIGN_OR_RETURN(const bool is_done, TryCover());
    if (!is_done) continue;
    if (!damage_) damage_ = hole_;
    RETURN_IF_ERROR(cover_->ChooseAfterViews());
    if (const Status saved = confirmed_->Save(); !saved)
      notes_.push_back(saved.error().message + "; WAL that was compared is read again next time");
    return RemoveReplaced();
  }
  return MakeError(
      ErrorCode::kIo,
      fmt::format("files of the index in \"{}\" are damaged or removed again and again "
                  "while they are used: look for another program that does so",
                  directory_));
}

// False: a file has gone, or is damaged; begin again.
Result<bool> WalIndex::TryCover() {
  damage_.reset();
  cover_ = std::make_unique<Cover>(segments_, wal_.identity(), wanted_, &*confirmed_, &notes_);
  ASSIGN_OR_RETURN(const bool are_there, UseFiles());
  if (!are_there) return false;
  done_ = 0;
  to_index_ = 0;
  for (const SegmentRange& gap : cover_->Gaps()) to_index_ += gap.size() * wal_.segment_size();
  for (;;) {
    std::vector<SegmentRange> pieces = Pieces();
    if (pieces.size() > kMostPieces) pieces.resize(kMostPieces);
    RETURN_IF_ERROR(Build(pieces));
    if (damage_) return true;
    ASSIGN_OR_RETURN(const bool are_fine, MergeUpward());
    if (!are_fine || pieces.empty()) return are_fine;
  }
}

// False: one has gone since its name was read.
Result<bool> WalIndex::UseFiles() {
  ASSIGN_OR_RETURN(const auto listed, ListFiles());
  for (const ListedFile& listing : listed) {
    SegmentRange range = cover_->Find(listing.first, listing.last);
    range = {std::max(range.first, wanted_.first), std::min(range.end, wanted_.end)};
    if (range.first >= range.end || cover_->IsCovered(range)) continue;
    auto file = IndexFile::Open(*opened_, listing.name, cache_);
    if (file) {
      RETURN_IF_ERROR(cover_->Use(std::move(*file)));
      continue;
    }
    if (file.error().code == ErrorCode::kNotFound) return false;
    if (file.error().code != ErrorCode::kCorrupt) return tl::unexpected(file.error());
    notes_.push_back(file.error().message + "; it is made anew");
    RETURN_IF_ERROR(opened_->Remove(listing.name));
  }
  return true;
}

// What is to be indexed, each to a file: groups, and what there is of one.
std::vector<SegmentRange> WalIndex::Pieces() const {
  std::vector<SegmentRange> out;
  const auto& all = *segments_;
  for (const SegmentRange& gap : cover_->Gaps()) {
    for (size_t at = gap.first; at < gap.end;) {
      size_t end = at + 1;
      for (const uint64_t size : sizes_) {
        const uint64_t count = size - all[at].number % size;
        // After a whole group there is WAL.
        if (size <= per_group_ && at + count <= gap.end && at + count < all.size())
          end = at + count;
      }
      out.push_back({at, end});
      at = end;
    }
  }
  return out;
}

Status WalIndex::Build(const std::vector<SegmentRange>& pieces) {
  for (const SegmentRange& piece : pieces) RETURN_IF_ERROR(cover_->ChooseCopies(piece));
  std::vector<BuiltFile> built(pieces.size());
  RETURN_IF_ERROR(ForEachInParallel(
      static_cast<size_t>(options_.jobs), pieces.size(), [&](size_t lane, size_t item) -> Status {
        ASSIGN_OR_RETURN(built[item], BuildIndexFile(wal_, timeline_, SegmentsOf(pieces[item]),
                                                     *opened_, cache_, options_.memory, &done_));
        if (lane == 0 && options_.progress) options_.progress(done_, to_index_);
        return {};
      }));
  for (size_t i = 0; i < pieces.size() && !damage_; i++)
    RETURN_IF_ERROR(Take(pieces[i], std::move(built[i])));
  return {};
}

Status WalIndex::Take(const SegmentRange& piece, BuiltFile built) {
  counts_.built++;
  counts_.segments_indexed += piece.size();
  for (const std::string& note : built.notes)
    if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(note);
  if (piece.first < cover_->wanted().first) return {};
  if (built.damage && range_.from && built.file->header().end() <= *range_.from) {
    // Damage before the range keeps nothing after it from being read.
    const uint64_t number = range_.from->value / wal_.segment_size();
    const size_t first = cover_->Find(number, number).first;
    if (piece.first < first) {
      cover_->BeginAt(first);
      return {};
    }
  }
  cover_->Put(piece, std::move(built.file));
  if (!built.damage) return {};
  // Nothing after the damage answers questions.
  damage_ = std::move(built.damage);
  const auto at = std::find_if(views().begin(), views().end(),
                               [&](const IndexView& view) { return view.range == piece; });
  cover_->EndWith(static_cast<size_t>(at - views().begin()));
  return {};
}

// The wanted segments that have one file if all of them are merged that are to be, of this size.
std::vector<SegmentRange> WalIndex::Nodes(uint64_t size) const {
  std::vector<SegmentRange> out;
  const auto& all = *segments_;
  const SegmentRange& wanted = cover_->wanted();
  for (size_t i = wanted.first; i < wanted.end;) {
    size_t end = i + 1;
    while (end < wanted.end && all[end].number == all[end - 1].number + 1 &&
           all[end].number / size == all[i].number / size)
      end++;
    const bool is_begin =
        all[i].number % size == 0 || i == 0 || all[i - 1].number + 1 != all[i].number;
    const bool is_whole = (all[end - 1].number + 1) % size == 0 && end < all.size();
    if (is_begin && is_whole) out.push_back({i, end});
    i = end;
  }
  return out;
}

// Nothing: it has one file, or WAL that is not indexed, or one larger file of which little has changed.
std::span<const IndexView> WalIndex::ToMerge(const SegmentRange& node) const {
  const std::span<const IndexView> all(views());
  const auto first = std::find_if(
      all.begin(), all.end(), [&](const IndexView& view) { return view.range.end > node.first; });
  auto end = first;
  size_t at = node.first;
  bool has_large = false;
  const Segment &oldest = (*segments_)[node.first], &newest = (*segments_)[node.end - 1];
  for (; end != all.end() && end->range.first == at && at < node.end; ++end) {
    if (end->file->header().is_cut || (end != first && end->begin != std::prev(end)->end))
      return {};
    has_large |= Names(*end->file, oldest.timeline, oldest.number) &&
                 Names(*end->file, newest.timeline, newest.number);
    at = end->range.end;
  }
  const auto count = static_cast<uint64_t>(end - first);
  const Lsn after = wal_.SegmentStart(newest.number + 1);
  if (at != node.end || count < 2 || std::prev(end)->end != after) return {};
  if (has_large && count <= 2 * options_.fan_out) return {};
  return {first, end};
}

// False: a file is damaged.
Result<bool> WalIndex::MergeUpward() {
  for (const uint64_t size : sizes_) {
    std::vector<SegmentRange> nodes = Nodes(size);
    std::erase_if(nodes, [this](const SegmentRange& node) { return ToMerge(node).empty(); });
    std::vector<std::unique_ptr<IndexFile>> merged(nodes.size());
    const Status status = ForEachInParallel(
        static_cast<size_t>(options_.jobs), nodes.size(), [&](size_t, size_t item) -> Status {
          const std::string name = IndexFileName(SegmentsOf(nodes[item]), wal_.segment_size());
          ASSIGN_OR_RETURN(merged[item],
                           MergeIndexFiles(ToMerge(nodes[item]), *opened_, name, cache_));
          return {};
        });
    if (!status && status.error().code == ErrorCode::kCorrupt && RemoveDamaged()) return false;
    if (!status) return tl::unexpected(status.error());
    for (size_t i = 0; i < nodes.size(); i++) cover_->Put(nodes[i], std::move(merged[i]));
    counts_.merged += nodes.size();
  }
  return true;
}

// Files whose segments a larger one answers for, too.
Status WalIndex::RemoveReplaced() {
  ASSIGN_OR_RETURN(const auto listed, ListFiles());
  for (const ListedFile& listing : listed) {
    const SegmentRange range = cover_->Find(listing.first, listing.last);
    const auto replaces = [&](const IndexView& view) {
      return view.range.Has(range) && view.file->name() != listing.name &&
             !view.file->header().is_cut &&
             Names(*view.file, listing.first_timeline, listing.first) &&
             Names(*view.file, listing.last_timeline, listing.last);
    };
    const bool is_used = std::any_of(views().begin(), views().end(), [&](const IndexView& view) {
      return view.file->name() == listing.name;
    });
    if (!is_used && range.size() != 0 && std::any_of(views().begin(), views().end(), replaces))
      RETURN_IF_ERROR(opened_->Remove(listing.name));
  }
  return {};
}

// Of those that are used. False: there is none.
bool WalIndex::RemoveDamaged() {
  std::set<std::string> names;
  for (const IndexView& view : views()) {
    if (!view.file->is_damaged() || !names.insert(view.file->name()).second) continue;
    notes_.push_back(fmt::format("index file \"{}\" is damaged; it was made anew",
                                 opened_->PathOf(view.file->name())));
    static_cast<void>(opened_->Remove(view.file->name()));
  }
  return !names.empty();
}

}  // namespace neon_redo

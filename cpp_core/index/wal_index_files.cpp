// Segments are indexed in groups of 256 MB of WAL, each aligned to a multiple of that, so that a question
// touches few files. Those after the last whole group have a file each: the last one is made anew
// while its WAL grows, and all are replaced once the group is whole. Groups do not depend on the range that is
// asked for.
//
// A file is used if its header has the segments as they are now. What is made here is used by its open
// descriptor: by then another process may have put a file of other WAL into its place.
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/build.h"
#include "cpp_core/index/record_source.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/wal/copies.h"

namespace neon_redo {

namespace {

using Group = std::span<Segment>;

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

std::vector<Group> GroupsOf(std::vector<Segment>* segments, uint64_t per_group) {
  std::vector<Group> out;
  for (size_t i = 0; i < segments->size();) {
    size_t end = i + 1;
    while (end < segments->size() && (*segments)[end].number == (*segments)[end - 1].number + 1 &&
           (*segments)[end].number / per_group == (*segments)[i].number / per_group)
      end++;
    const bool is_whole =
        end < segments->size() && ((*segments)[end - 1].number + 1) % per_group == 0;
    if (is_whole) {
      out.push_back(Group(*segments).subspan(i, end - i));
    } else {
      for (size_t k = i; k < end; k++) out.push_back(Group(*segments).subspan(k, 1));
    }
    i = end;
  }
  return out;
}

// The file's header names these segments.
bool Names(const IndexHeader& header, Group group, const WalIdentity& identity) {
  return header.system_identifier == identity.system_identifier &&
         header.segment_size == identity.segment_size &&
         header.begin == Lsn(group.front().number * identity.segment_size) &&
         std::equal(header.segments.begin(), header.segments.end(), group.begin(), group.end(),
                    [](const IndexedSegment& a, const Segment& b) {
                      return a.timeline == b.timeline && a.number == b.number;
                    });
}

// The file is of these segments as they are now. is_last: no WAL is behind them.
Result<bool> Fits(const IndexHeader& header, Group group, const WalIdentity& identity, bool is_last,
                  RecordSource* records) {
  const Lsn end(uint64_t{group.back().number + 1} * identity.segment_size);
  if (!Names(header, group, identity) || header.is_cut || header.end > end ||
      (header.end < end && !is_last))
    return false;
  for (size_t i = 0; i < group.size(); i++) {
    ASSIGN_OR_RETURN(const auto now, LookAtSegment(group[i]));
    if (IsUntouched(header.segments[i], now)) continue;
    const auto read = DescribeSegment(group[i], identity.segment_size);
    if (!read && read.error().code != ErrorCode::kCorrupt) return tl::unexpected(read.error());
    if (!read || read->hash != header.segments[i].hash) return false;
  }
  if (!header.last_start.valid()) return true;
  // It may end in a segment that is not of the file.
  const auto last = records->Read(header.last_start);
  if (last) return LoadNative<RecordHeader>(last->bytes.data()).crc == header.last_crc;
  const ErrorCode code = last.error().code;
  if (code == ErrorCode::kNotFound || code == ErrorCode::kCorrupt) return false;
  return tl::unexpected(last.error());
}

}  // namespace

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
  out->opened_.emplace(std::move(directory));
  RETURN_IF_ERROR(out->OpenFiles());
  out->options_.progress = nullptr;  // it may refer to what ends with the caller
  for (const auto& file : out->files_) out->counts_.bytes += file->bytes();
  out->counts_.files = out->files_.size();
  return out;
}

// Of the line, with the copies of each: those of the group in which the range begins, and all after
// them. The groups are those that the range touches.
Status WalIndex::ListSegments() {
  ASSIGN_OR_RETURN(WalLine line, wal_.FindLine(range_.timeline, range_.from));
  timeline_ = line.timeline;
  RETURN_IF_ERROR(wal_.RefuseCompressed(line.segments, timeline_, range_.from, range_.to));
  // With those before the range.
  ASSIGN_OR_RETURN(line, wal_.FindLine(timeline_, std::nullopt));
  const uint32_t size = wal_.segment_size();
  const uint64_t per_group = std::max<uint64_t>(1, options_.group / size);
  segments_ = std::make_shared<std::vector<Segment>>(std::move(line.segments));
  std::vector<Segment>& all = *segments_;
  while (!all.empty() && all.back().head != SegmentHead::kWal) all.pop_back();
  const uint64_t first = range_.from ? range_.from->value / size : 0;
  const auto at = std::lower_bound(all.begin(), all.end(), first,
                                   [](const Segment& s, uint64_t n) { return s.number < n; });
  auto begin = at;
  while (begin != all.begin() && at != all.end() && at->number == first &&
         std::prev(begin)->number + 1 == begin->number &&
         std::prev(begin)->number / per_group == first / per_group &&
         std::prev(begin)->head == SegmentHead::kWal)
    --begin;
  all.erase(all.begin(), begin);
  groups_ = GroupsOf(&all, per_group);
  std::erase_if(groups_, [&](const Group& group) {
    return group.back().number < first ||
           (range_.to && wal_.SegmentStart(group.front().number) >= *range_.to);
  });
  return {};
}

std::string WalIndex::NameOf(size_t group) const {
  return IndexFileName(groups_[group], wal_.segment_size());
}

// Which of several copies of a segment is read. One that the file's header has, untouched, was compared
// with the others when the file was made.
Status WalIndex::Choose(Group group, const IndexHeader* header) {
  for (size_t i = 0; i < group.size(); i++) {
    Segment& segment = group[i];
    if (segment.copies.empty()) continue;
    std::optional<Segment> known;
    const auto try_one = [&](const Segment& copy) {
      const auto now = LookAtSegment(copy);
      if (!known && now && copy.is_whole(wal_.segment_size()) &&
          IsUntouched(header->segments[i], *now))
        known = copy;
    };
    if (header != nullptr) {
      try_one(segment);
      for (const Segment& copy : segment.copies) try_one(copy);
    }
    if (!known) {
      const auto index = static_cast<size_t>(&segment - segments_->data());
      ASSIGN_OR_RETURN(known, ChooseCopy(*segments_, index, wal_.identity(), &notes_));
    }
    known->copies.clear();
    segment = std::move(*known);
  }
  return {};
}

// False: there is none that fits.
Result<bool> WalIndex::OpenFile(size_t group) {
  auto file = IndexFile::Open(*opened_, NameOf(group), cache_);
  if (!file && file.error().code != ErrorCode::kNotFound &&
      file.error().code != ErrorCode::kCorrupt)
    return tl::unexpected(file.error());
  if (!file && file.error().code == ErrorCode::kCorrupt)
    notes_.push_back(file.error().message + "; it is made anew");
  const bool names = file && Names((*file)->header(), groups_[group], wal_.identity());
  RETURN_IF_ERROR(Choose(groups_[group], names ? &(*file)->header() : nullptr));
  if (!names) return false;
  RecordSource records(segments_, wal_.identity());
  const bool is_last = &groups_[group].back() == &segments_->back();
  ASSIGN_OR_RETURN(const bool fits,
                   Fits((*file)->header(), groups_[group], wal_.identity(), is_last, &records));
  if (fits) files_[group] = std::move(*file);
  return fits;
}

Status WalIndex::OpenFiles() {
  files_.resize(groups_.size());
  std::vector<size_t> missing;
  for (size_t i = 0; i < groups_.size(); i++) {
    ASSIGN_OR_RETURN(const bool is_there, OpenFile(i));
    if (!is_there) missing.push_back(i);
  }
  ASSIGN_OR_RETURN(auto built, Build(missing));
  if (!missing.empty() && missing[0] == 0) RETURN_IF_ERROR(BuildFirstAgain(&built[0]));
  for (size_t i = 0; i < missing.size() && !damage_; i++) {
    const size_t at = missing[i];
    files_[at] = std::move(built[i].file);
    // Nothing behind the damage answers questions.
    if (built[i].damage) files_.resize(at + 1);
    damage_ = std::move(built[i].damage);
    if (groups_[at].size() == 1) continue;
    // The files that it replaces.
    for (Segment& segment : groups_[at])
      static_cast<void>(opened_->Remove(IndexFileName(Group(&segment, 1), wal_.segment_size())));
  }
  return {};
}

// Makes the files of some groups.
Result<std::vector<BuiltFile>> WalIndex::Build(const std::vector<size_t>& missing) {
  uint64_t segments = 0;
  for (const size_t i : missing) segments += groups_[i].size();
  std::atomic<uint64_t> done{0};
  std::vector<BuiltFile> out(missing.size());
  RETURN_IF_ERROR(ForEachInParallel(
      static_cast<size_t>(options_.jobs), missing.size(), [&](size_t lane, size_t item) -> Status {
        ASSIGN_OR_RETURN(out[item], BuildIndexFile(wal_, timeline_, groups_[missing[item]],
                                                   *opened_, cache_, &done));
        if (lane == 0 && options_.progress) options_.progress(done, segments * wal_.segment_size());
        return {};
      }));
  for (const BuiltFile& file : out)
    for (const std::string& note : file.notes)
      if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(note);
  counts_.built += missing.size();
  counts_.segments_indexed += segments;
  return out;
}

// Damage in the first group before the range keeps nothing behind it from being read.
Status WalIndex::BuildFirstAgain(BuiltFile* built) {
  if (!range_.from || !built->damage || built->file->header().end > *range_.from) return {};
  const uint64_t first = range_.from->value / wal_.segment_size();
  if (groups_[0].front().number >= first) return {};
  groups_[0] = groups_[0].subspan(first - groups_[0].front().number);
  ASSIGN_OR_RETURN(auto again, Build({0}));
  *built = std::move(again[0]);
  return {};
}

Status WalIndex::Rebuild(size_t group) {
  ASSIGN_OR_RETURN(auto built, Build({group}));
  if (built[0].damage) return tl::unexpected(*built[0].damage);
  files_[group] = std::move(built[0].file);
  return {};
}

}  // namespace neon_redo

// Opening takes two passes. The first reads the long page header of every segment and counts what
// they claim (system identifier, segment size, version); the most frequent claim is what a directory
// holds. The second pass judges each segment by it. So one foreign file among many does not change
// what the others are, and is the one that gets named.
#include "cpp_core/archive/wal_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <tuple>
#include <utility>

#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/tested_version.h"

namespace neon_redo {

namespace {

// Which of the files of one segment is read: the smallest. A first page that is damaged goes before
// one that only waits for its WAL, so that the damage is reported.
auto Rank(const Segment& s, uint32_t segment_size) {
  constexpr SegmentHead kOrder[] = {SegmentHead::kWal, SegmentHead::kForeign, SegmentHead::kShort,
                                    SegmentHead::kStale, SegmentHead::kZero};
  const auto head = std::find(std::begin(kOrder), std::end(kOrder), s.head) - kOrder;
  const int completeness = s.file_size < segment_size ? 2 : s.is_partial ? 1 : 0;
  return std::tuple(head, completeness, ~s.file_size, s.is_partial);
}

auto KeyOf(const Segment& s) { return std::pair(s.timeline, s.number); }

}  // namespace

std::string NamePaths(const std::vector<std::string>& paths) {
  std::string out;
  for (size_t i = 0; i < paths.size(); i++) {
    if (i > 0) out += i + 1 < paths.size() ? ", " : " and ";
    out += paths[i];
  }
  return out;
}

std::string QuotePaths(std::vector<std::string> paths) {
  for (std::string& path : paths) path = fmt::format("\"{}\"", path);
  return NamePaths(paths);
}

Result<WalSet> WalSet::Open(const std::vector<std::string>& paths) {
  if (paths.empty()) return MakeError(ErrorCode::kInvalidArgument, "no WAL directory is given");
  return Open(WalSources{.directories = paths});
}

Result<WalSet> WalSet::Open(const WalSources& sources) {
  WalSet out;
  if (sources.restore_command.empty()) {
    RETURN_IF_ERROR(out.List(sources));
    if (out.segments_.empty()) return out.NoSegments();
    return out;
  }
  ASSIGN_OR_RETURN(out.restore_, RestoreSpool::Open(sources.restore_command));
  RETURN_IF_ERROR(out.List(sources));
  out.given_.emplace_back("--restore-command");
  RETURN_IF_ERROR(out.FindInRestore(sources));
  return out;
}

Status WalSet::List(const WalSources& sources) {
  const std::vector<std::string>& paths = sources.directories;
  WalRepository repository{.stanza = sources.stanza, .ending = sources.ending};
  const std::unique_ptr<std::string, void (*)(std::string*)> wiped(&repository.passphrase,
                                                                   &WipeSecret);
  cipher_pass_file_ = sources.cipher_pass_file;
  if (!cipher_pass_file_.empty()) {
    ASSIGN_OR_RETURN(repository.passphrase, ReadRepositoryPassphrase(cipher_pass_file_));
  }
  std::vector<WalListing> listings;
  std::set<std::pair<dev_t, ino_t>> known;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(auto listing, WalListing::Read(path, repository));
    const auto ids = listing.ids;
    // One may have a directory of another and more: Take leaves out the files that both have.
    if (!std::includes(known.begin(), known.end(), ids.begin(), ids.end()))
      listings.push_back(std::move(listing));
    known.insert(ids.begin(), ids.end());
  }
  given_ = paths;
  for (const WalListing& l : listings) {
    paths_.push_back(l.path);
    directories_.insert(directories_.end(), l.directories.begin(), l.directories.end());
    if (l.cipher_pass)
      for (const std::string& path : l.directories) cipher_passes_[path] = l.cipher_pass;
    packed_.insert(packed_.end(), l.packed.begin(), l.packed.end());
    for (const std::string& path : l.foreign)
      notes_.push_back(fmt::format("\"{}\" is left out: its suffix is not known", path));
  }
  const auto by_name = [](const WalListing::Packed& a, const WalListing::Packed& b) {
    const auto key = [](const SegmentName& n) { return std::tuple(n.timeline, n.log, n.segment); };
    return key(a.name) < key(b.name);
  };
  std::stable_sort(packed_.begin(), packed_.end(), by_name);
  const auto empty = std::stable_partition(listings.begin(), listings.end(),
                                           [](const WalListing& l) { return !l.files.empty(); });
  if (empty == listings.begin()) return {};
  for (auto l = empty; l != listings.end(); ++l)
    notes_.push_back(fmt::format("no WAL segments in directory \"{}\"", l->path));
  listings.erase(empty, listings.end());
  RETURN_IF_ERROR(FindIdentity(listings));
  Take(listings);
  MergeCopies();
  DoubtWherePacked();
  return {};
}

tl::unexpected<Error> WalSet::NoSegments() const {
  if (packed_.empty())
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("no WAL segments in directory {}", QuotePaths(given_)));
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("no WAL segments in directory {}: its segments "
                               "are compressed, such as \"{}\"; decompress "
                               "them first",
                               QuotePaths(given_), packed_.front().path));
}

// Its timelines, as far as recovery would know them, and the identity if no directory has it.
Status WalSet::FindInRestore(const WalSources& sources) {
  if (sources.timeline) {
    restorable_ = {*sources.timeline};
  } else {
    const uint32_t listed = timelines_.empty() ? 1 : timelines_.back();
    ASSIGN_OR_RETURN(
        const uint32_t newest,
        FindNewestTimeline(restore_.get(), std::max(listed, sources.start_timeline.value_or(1))));
    restorable_ = {newest};
  }
  if (identity_.version != nullptr) return {};
  if (!sources.start)
    return MakeError(ErrorCode::kInvalidArgument,
                     "the restore command cannot list its archive: where WAL begins must be known, "
                     "from a base backup, a start, or a directory with segments");
  std::vector<uint32_t> timelines = {sources.start_timeline.value_or(restorable_.front())};
  if (timelines.front() != restorable_.front()) timelines.push_back(restorable_.front());
  ASSIGN_OR_RETURN(const auto forks, ReadForks(restorable_.front()));
  if (forks)
    for (auto fork = forks->rbegin(); fork != forks->rend(); ++fork)
      timelines.push_back(fork->timeline);
  ASSIGN_OR_RETURN(identity_, FetchIdentity(restore_.get(), *sources.start, timelines));
  return pg::CheckTested(*identity_.version, "the WAL of the restore command");
}

// That of the first directory that says one; the others must say the same.
Status WalSet::FindIdentity(const std::vector<WalListing>& listings) {
  const WalListing* first = nullptr;
  for (const WalListing& l : listings) {
    if (l.identity.version == nullptr) continue;
    if (first == nullptr) {
      first = &l;
      continue;
    }
    const WalIdentity &a = first->identity, &b = l.identity;
    std::string why;
    if (a.version != b.version) {
      why = fmt::format("PostgreSQL {} and {}", a.version->major, b.version->major);
    } else if (a.system_identifier != b.system_identifier) {
      why = fmt::format("system identifiers {} and {}", a.system_identifier, b.system_identifier);
    } else if (a.segment_size != b.segment_size) {
      why = fmt::format("segments of {} and {} bytes", a.segment_size, b.segment_size);
    }
    if (!why.empty())
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("the WAL in \"{}\" and the WAL in \"{}\" are not of one cluster: "
                      "{}",
                      first->path, l.path, why));
  }
  if (first == nullptr) return NoGoodHeader(listings.front());
  identity_ = first->identity;
  return pg::CheckTested(*identity_.version, fmt::format("the WAL in \"{}\"", first->path));
}

// Without a header only the file's own size can show which LSN its name means.
tl::unexpected<Error> WalSet::NoGoodHeader(const WalListing& listing) const {
  const WalListing::File& file = listing.files.front();
  const uint64_t size = file.start.stamp.size;
  const WalIdentity identity{
      IsValidSegmentSize(size) ? static_cast<uint32_t>(size) : uint32_t{16} << 20, 0, nullptr};
  Segment judged{};
  judged.timeline = file.name.timeline;
  judged.number = SegmentNumber(file.name, identity.segment_size);
  judged.file_size = file.start.packing == Packing::kNone ? size : 0;
  JudgeSegment(identity, file.start, &judged);
  const char* state = judged.head == SegmentHead::kZero    ? "it holds only zeroes"
                      : judged.head == SegmentHead::kShort ? "it ends inside its page header"
                                                           : judged.problem.c_str();
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("no file in \"{}\" is a PostgreSQL {} WAL segment: the first is "
                               "\"{}\" (LSN {} by its name): {}",
                               listing.path, pg::SupportedMajors(), file.path,
                               Lsn(judged.number * identity.segment_size).ToString(), state));
}

void WalSet::Take(const std::vector<WalListing>& listings) {
  std::set<std::tuple<dev_t, ino_t, std::string>> taken;
  for (const WalListing& listing : listings) {
    for (const WalListing::File& file : listing.files) {
      const std::string name = SplitPath(file.path).name;
      if (!taken.emplace(file.start.stamp.device, file.start.stamp.inode, name).second) continue;
      Segment segment{};
      segment.path = file.path;
      segment.timeline = file.name.timeline;
      segment.number = NumberOf(file.name);
      segment.is_partial = file.name.partial;
      segment.packing = file.start.packing;
      segment.sha1 = file.sha1;
      segment.stamp = file.start.stamp;
      if (file.start.is_encrypted) segment.cipher_pass = listing.cipher_pass;
      const bool is_stored = segment.packing == Packing::kNone && !segment.cipher_pass;
      segment.file_size = is_stored ? segment.stamp.size : segment_size();
      JudgeSegment(identity_, file.start, &segment);
      if (file.name.segment >= SegmentsPerLog(segment_size())) {
        segment.head = SegmentHead::kForeign;
        segment.problem =
            fmt::format("it has the file name of no segment of {} bytes", segment_size());
      }
      segments_.push_back(std::move(segment));
    }
  }
}

void WalSet::MergeCopies() {
  std::stable_sort(segments_.begin(), segments_.end(), [&](const Segment& a, const Segment& b) {
    return std::tuple(KeyOf(a), Rank(a, segment_size())) <
           std::tuple(KeyOf(b), Rank(b, segment_size()));
  });
  std::vector<Segment> merged;
  for (Segment& s : segments_) {
    if (!merged.empty() && KeyOf(merged.back()) == KeyOf(s))
      merged.back().copies.push_back(std::move(s));
    else
      merged.push_back(std::move(s));
  }
  segments_ = std::move(merged);
  for (const Segment& s : segments_) {
    if (timelines_.empty() || timelines_.back() != s.timeline) timelines_.push_back(s.timeline);
  }
}

const Segment* WalSet::Find(uint32_t timeline, uint64_t number) const {
  const std::pair wanted(timeline, number);
  const auto at =
      std::lower_bound(segments_.begin(), segments_.end(), wanted,
                       [](const Segment& s, const auto& key) { return KeyOf(s) < key; });
  return at != segments_.end() && KeyOf(*at) == wanted ? &*at : nullptr;
}

Segment* WalSet::Find(const SegmentName& name) {
  return const_cast<Segment*>(std::as_const(*this).Find(name));
}

// A file that is not whole may end before the WAL of one that cannot be read.
void WalSet::DoubtWherePacked() {
  const auto is_whole = [&](const Segment& s) { return s.is_whole(segment_size()); };
  for (const WalListing::Packed& c : packed_) {
    Segment* segment = Find(c.name);
    if (segment != nullptr && !is_whole(*segment) &&
        std::none_of(segment->copies.begin(), segment->copies.end(), is_whole))
      segment->doubts.push_back(CompressedError(c.path).value());
  }
}

Status WalSet::RefuseCompressed(const std::vector<Segment>& line, std::optional<uint32_t> timeline,
                                std::optional<Lsn> from, std::optional<Lsn> to) const {
  if (packed_.empty()) return {};
  uint32_t newest = timeline.value_or(0);
  for (const Segment& s : line) newest = std::max(newest, s.timeline);
  ASSIGN_OR_RETURN(const auto branches, Descent(newest));
  const auto is_of_line = [&](const SegmentName& name) {
    // Without a choice the highest timeline is the one.
    if (name.timeline > newest) return !timeline.has_value();
    for (size_t i = 0; i < branches.size(); i++) {
      if (branches[i].timeline != name.timeline) continue;
      const uint64_t end = i + 1 < branches.size() ? branches[i + 1].first_segment : ~uint64_t{0};
      return NumberOf(name) >= branches[i].first_segment && NumberOf(name) < end;
    }
    return false;
  };
  for (const WalListing::Packed& c : packed_) {
    const uint64_t number = NumberOf(c.name);
    if (from && number < from->value / segment_size()) continue;
    if (to && number * segment_size() >= to->value) continue;
    // A recycled file, or one without a good header, is not the segment.
    const Segment* found = Find(c.name);
    if (is_of_line(c.name) && (found == nullptr || found->head != SegmentHead::kWal))
      return CompressedError(c.path);
  }
  return {};
}

Result<std::vector<TimelineBranch>> WalSet::Descent(uint32_t timeline) const {
  std::vector<TimelineBranch> branches;
  ASSIGN_OR_RETURN(const auto forks, ReadForks(timeline));
  if (!forks) {
    for (const Segment& s : segments_) {
      if (s.timeline <= timeline && (branches.empty() || branches.back().timeline != s.timeline))
        branches.push_back({s.timeline, s.number});
    }
    if (!branches.empty()) branches.front().first_segment = 0;
    // A branch that starts before an earlier one's start has no part in this line.
    for (size_t i = branches.size(); i-- > 1;) {
      if (branches[i - 1].first_segment >= branches[i].first_segment)
        branches.erase(branches.begin() + static_cast<long>(i - 1));
    }
    if (restore_ && (branches.empty() || branches.back().timeline != timeline))
      branches = {{timeline, 0}};
    return branches;
  }
  uint64_t begin = 0;
  for (const TimelineFork& fork : *forks) {
    branches.push_back({fork.timeline, begin});
    begin = fork.end.value / segment_size();
  }
  branches.push_back({timeline, begin});
  return branches;
}

Result<WalLine> WalSet::LineOf(uint32_t timeline) const {
  WalLine line{timeline};
  ASSIGN_OR_RETURN(line.branches, Descent(timeline));
  for (size_t i = 0; i < line.branches.size(); i++) {
    const TimelineBranch& b = line.branches[i];
    const uint64_t end =
        i + 1 < line.branches.size() ? line.branches[i + 1].first_segment : ~uint64_t{0};
    for (const Segment& s : segments_) {
      if (s.timeline == b.timeline && s.number >= b.first_segment && s.number < end)
        line.segments.push_back(s);
    }
  }
  return line;
}

std::shared_ptr<const RestoredLine> WalSet::Restored(const WalLine& line) const {
  if (!restore_) return nullptr;
  RestoredLine::Packed packed;
  for (const WalListing::Packed& c : packed_)
    packed.emplace(std::pair(c.name.timeline, NumberOf(c.name)), c.path);
  return std::make_shared<const RestoredLine>(restore_, line.branches, identity_,
                                              std::move(packed));
}

std::string WalSet::Places() const { return QuotePaths(restore_ ? given_ : paths_); }

// The highest first.
std::vector<uint32_t> WalSet::Candidates(std::optional<uint32_t> timeline) const {
  std::set<uint32_t, std::greater<>> all(timelines_.begin(), timelines_.end());
  all.insert(restorable_.begin(), restorable_.end());
  if (!timeline) return {all.begin(), all.end()};
  return all.contains(*timeline) ? std::vector{*timeline} : std::vector<uint32_t>();
}

// Adds the segment of `from`, unless a directory has the whole of it.
Status WalSet::Restore(Lsn from, WalLine* line) const {
  if (!restore_ || line->branches.empty()) return {};
  const uint64_t wanted = from.value / segment_size();
  const auto at =
      std::lower_bound(line->segments.begin(), line->segments.end(), wanted,
                       [](const Segment& s, uint64_t number) { return s.number < number; });
  const bool is_there = at != line->segments.end() && at->number == wanted;
  if (is_there && at->is_whole(segment_size())) return {};
  const auto command = Restored(*line);
  ASSIGN_OR_RETURN(auto restored, command->Get(wanted));
  if (!restored && is_there && at->head == SegmentHead::kWal) return {};
  if (!restored) return command->RefuseCompressed(wanted);
  if (!is_there)
    line->segments.insert(at, std::move(*restored));
  else
    at->Add(std::move(*restored));
  return {};
}

Result<WalLine> WalSet::FindLine(std::optional<uint32_t> timeline, std::optional<Lsn> from) const {
  const uint64_t wanted = from ? from->value / segment_size() : 0;
  for (const uint32_t candidate : Candidates(timeline)) {
    auto line = LineOf(candidate);
    if (line && from) RETURN_IF_ERROR(Restore(*from, &*line));
    if (line && line->segments.empty()) {
      if (from && (!timeline || restore_)) continue;
      if (restore_)
        return MakeError(
            ErrorCode::kNotFound,
            fmt::format("no segment in {} is WAL of timeline {}, and the restore command "
                        "cannot list its archive: where WAL begins must be known",
                        Places(), candidate));
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("no segment in {} is WAL of timeline {}: file \"{}\" says that it begins "
                      "after the ones that are there",
                      Places(), candidate, FormatHistoryName(candidate)));
    }
    if (!line || !from) return line;
    const bool covered = std::any_of(line->segments.begin(), line->segments.end(),
                                     [&](const Segment& s) { return s.number == wanted; });
    if (covered) {
      std::erase_if(line->segments, [&](const Segment& s) { return s.number < wanted; });
      return line;
    }
  }
  return NoLine(timeline, from);
}

tl::unexpected<Error> WalSet::NoLine(std::optional<uint32_t> timeline,
                                     std::optional<Lsn> from) const {
  const uint64_t wanted = from ? from->value / segment_size() : 0;
  for (const WalListing::Packed& c : packed_) {
    if ((!timeline || c.name.timeline == *timeline) && (!from || NumberOf(c.name) == wanted))
      return CompressedError(c.path);
  }
  if (timeline && Candidates(timeline).empty())
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("no segments of timeline {} in {}", *timeline, Places()));
  return MakeError(
      ErrorCode::kNotFound,
      fmt::format("no segment in {} has LSN {}: file \"{}\" is missing", Places(), from->ToString(),
                  FormatSegmentName(Candidates(timeline).front(), wanted, segment_size())));
}

}  // namespace neon_redo

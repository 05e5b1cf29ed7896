#include "cpp_core/archive/wal_line.h"

#include <fmt/format.h>

#include <string>

#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_page.h"

namespace neon_redo {

namespace {

constexpr uint32_t kUsualSize = uint32_t{16} << 20;
constexpr uint32_t kLargeSize = uint32_t{64} << 20;

struct Fetched {
  std::shared_ptr<const SpooledFile> file;
  std::string name;
};

// The first of the timelines whose segment of this LSN is there.
Result<Fetched> FetchAt(RestoreSpool* spool, Lsn start, uint32_t size,
                        const std::vector<uint32_t>& timelines) {
  for (const uint32_t timeline : timelines) {
    std::string name = FormatSegmentName(timeline, start.value / size, size);
    ASSIGN_OR_RETURN(auto file, spool->Fetch(name, 0));
    if (file) return Fetched{std::move(file), std::move(name)};
  }
  return Fetched{};
}

// page: its first, if it has one that could be of a version that is not known.
tl::unexpected<Error> NoSegment(const std::string& name, const WalPageHeader* page) {
  const bool is_of_version = page == nullptr || pg::FindVersionByWalMagic(page->magic) != nullptr;
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("file \"{}\" from the restore command is no WAL segment{}", name,
                  is_of_version ? ""
                                : fmt::format(": it has page magic {:04X}, expected {}",
                                              page->magic, pg::SupportedWalMagics())));
}

}  // namespace

uint32_t RestoredLine::TimelineOf(uint64_t number) const {
  uint32_t timeline = branches_.front().timeline;
  for (const TimelineBranch& branch : branches_)
    if (branch.first_segment <= number) timeline = branch.timeline;
  return timeline;
}

Result<std::optional<Segment>> RestoredLine::Get(uint64_t number) const {
  const uint32_t size = identity_.segment_size;
  const auto name = [&](uint64_t n) { return FormatSegmentName(TimelineOf(n), n, size); };
  std::vector<std::string> ahead;
  for (uint64_t i = 1; i <= (size > kLargeSize ? 1 : 3); i++) ahead.push_back(name(number + i));
  ASSIGN_OR_RETURN(auto file, spool_->Fetch(name(number), size, ahead));
  if (!file) return std::nullopt;
  ASSIGN_OR_RETURN(const FileStart start, ReadFileStart(file->path()));
  Segment out{};
  out.path = file->path();
  out.timeline = TimelineOf(number);
  out.number = number;
  out.file_size = start.stamp.size;
  out.spooled = std::move(file);
  JudgeSegment(identity_, start, &out);
  return out;
}

Status RestoredLine::RefuseCompressed(uint64_t number) const {
  const auto packed = packed_.find({TimelineOf(number), number});
  if (packed != packed_.end()) return CompressedError(packed->second);
  return {};
}

Result<uint32_t> FindNewestTimeline(RestoreSpool* spool, uint32_t timeline) {
  for (; timeline < UINT32_MAX; timeline++) {
    const std::string name = FormatHistoryName(timeline + 1);
    ASSIGN_OR_RETURN(const auto history, spool->ReadHistory(timeline + 1));
    if (!history) break;
    // A command that brings something for every name would be asked for ever.
    ASSIGN_OR_RETURN(const auto forks, ParseTimelineHistory(*history, timeline + 1, name));
    if (forks.empty())
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("timeline history file \"{}\" from the restore command names "
                                   "no timeline before it",
                                   name));
  }
  return timeline;
}

Result<WalIdentity> FetchIdentity(RestoreSpool* spool, Lsn start,
                                  const std::vector<uint32_t>& timelines) {
  std::vector<uint32_t> sizes = {kUsualSize};
  for (uint64_t size = uint64_t{1} << 20; size <= uint64_t{1} << 30; size *= 2)
    if (size != kUsualSize) sizes.push_back(static_cast<uint32_t>(size));
  bool is_known = false;  // the size, by a header
  for (size_t i = 0; i < sizes.size(); i++) {
    ASSIGN_OR_RETURN(const Fetched fetched, FetchAt(spool, start, sizes[i], timelines));
    if (!fetched.file) continue;
    ASSIGN_OR_RETURN(const FileStart read, ReadFileStart(fetched.file->path()));
    WalSegmentHead head;
    if (read.packing != Packing::kNone) return CompressedByCommand(fetched.name);
    const bool has_head = head.Load(Bytes(read.bytes, read.length));
    if (!has_head || !head.IsOfAnySegment())
      return NoSegment(fetched.name, has_head ? &head.page : nullptr);
    const uint32_t size = head.segment.segment_size;
    // Another file than the one that has the LSN.
    if (size != sizes[i]) {
      if (is_known) break;
      is_known = true;
      sizes = {sizes[i], size};
      i = 0;
      continue;
    }
    if (read.stamp.size != size)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("file \"{}\" from the restore command has wrong size: {} "
                                   "instead of {}",
                                   fetched.name, read.stamp.size, size));
    return WalIdentity{size, head.segment.system_identifier,
                       pg::FindVersionByWalMagic(head.page.magic)};
  }
  return MakeError(
      ErrorCode::kNotFound,
      fmt::format("the restore command has no segment with LSN {}: file \"{}\" is not "
                  "there",
                  start.ToString(),
                  FormatSegmentName(timelines.front(), start.value / kUsualSize, kUsualSize)));
}

}  // namespace neon_redo

#include "cpp_core/wal/lineage.h"

#include <algorithm>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

uint32_t WalLineage::At(Lsn lsn) const {
  for (const TimelineFork& fork : forks)
    if (lsn <= fork.end) return fork.timeline;
  return timeline;
}

bool WalLineage::Has(uint32_t wanted, Lsn lsn) const {
  if (wanted == timeline) return true;
  if (!is_known) return wanted < timeline;
  return std::any_of(forks.begin(), forks.end(), [&](const TimelineFork& fork) {
    return fork.timeline == wanted && lsn <= fork.end;
  });
}

Result<WalLineage> ReadLineage(const WalSet& wal, std::optional<uint32_t> timeline,
                               std::optional<Lsn> from) {
  const bool needs_from = !timeline || wal.restores();
  ASSIGN_OR_RETURN(const auto line, wal.FindLine(timeline, needs_from ? from : std::nullopt));
  WalLineage out;
  out.version = &wal.version();
  out.system_identifier = wal.system_identifier();
  for (const Segment& segment : line.segments)
    out.timeline = std::max(out.timeline, segment.timeline);
  if (timeline || wal.restores()) out.timeline = line.timeline;
  out.is_known = out.timeline == 1;
  if (out.is_known) return out;
  ASSIGN_OR_RETURN(auto forks, wal.ReadForks(out.timeline));
  out.is_known = forks.has_value();
  if (forks) out.forks = std::move(*forks);
  return out;
}

std::vector<OtherTimeline> FindOtherTimelines(const WalSet& wal, const WalLineage& lineage) {
  std::vector<OtherTimeline> out;
  for (const uint32_t timeline : wal.timelines()) {
    if (timeline == lineage.timeline || (!lineage.is_known && timeline < lineage.timeline))
      continue;
    const auto fork = std::find_if(lineage.forks.begin(), lineage.forks.end(),
                                   [&](const TimelineFork& f) { return f.timeline == timeline; });
    const auto line = wal.Line(timeline, std::nullopt);
    // Its history file is bad or cannot be read, which is no fault of the line that is read.
    if (!line) {
      out.push_back({timeline, Lsn()});
      continue;
    }
    const auto left_out = std::find_if(line->begin(), line->end(), [&](const Segment& segment) {
      const bool is_used = segment.timeline == timeline && segment.head == SegmentHead::kWal;
      // The segment of the fork is in both.
      return is_used &&
             (fork == lineage.forks.end() || wal.SegmentStart(segment.number) > fork->end);
    });
    if (left_out != line->end()) out.push_back({timeline, wal.SegmentStart(left_out->number)});
  }
  return out;
}

}  // namespace neon_redo

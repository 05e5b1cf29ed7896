#include "cpp_core/wal/lineage.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "cpp_core/base/try.h"
#include "cpp_core/wal/segment.h"

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

Result<WalLineage> ReadLineage(const std::string& directory, std::optional<uint32_t> timeline,
                               std::optional<Lsn> from, const std::string& other_directory) {
  ASSIGN_OR_RETURN(const auto wal, WalDirectory::Open(directory));
  ASSIGN_OR_RETURN(const auto line, wal.Line(timeline, timeline ? std::nullopt : from));
  WalLineage out;
  out.system_identifier = wal.system_identifier();
  for (const Segment& segment : line) out.timeline = std::max(out.timeline, segment.timeline);
  if (timeline) out.timeline = *timeline;
  out.is_known = out.timeline == 1;
  for (const std::string& place : {wal.path(), other_directory}) {
    if (out.is_known || place.empty()) continue;
    const std::string path = place + "/" + FormatHistoryName(out.timeline);
    std::ifstream file(path);
    if (!file) continue;
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    ASSIGN_OR_RETURN(out.forks, ParseTimelineHistory(content, out.timeline, path));
    out.is_known = true;
  }
  return out;
}

}  // namespace neon_redo

// The WAL of one timeline and of those it descends from.
#ifndef NEON_REDO_ARCHIVE_WAL_LINE_H_
#define NEON_REDO_ARCHIVE_WAL_LINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/archive/restore_spool.h"
#include "cpp_core/archive/segment.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// A timeline of a line, and the first segment that is its own.
struct TimelineBranch {
  uint32_t timeline;
  uint64_t first_segment;
};

struct WalLine {
  uint32_t timeline = 0;
  std::vector<TimelineBranch> branches{};  // the oldest first; the last is that of the timeline
  std::vector<Segment> segments{};         // in order of number; numbers may be missing
};

// The segments of one line, one by one, as a restore command brings them. Thread-safe.
class RestoredLine {
 public:
  // Paths of segments, by timeline and number, that directories only have in a form that is not read.
  using Packed = std::map<std::pair<uint32_t, uint64_t>, std::string>;

  RestoredLine(std::shared_ptr<RestoreSpool> spool, std::vector<TimelineBranch> branches,
               const WalIdentity& identity, Packed packed)
      : spool_(std::move(spool)),
        branches_(std::move(branches)),
        identity_(identity),
        packed_(std::move(packed)) {}

  // Nothing: the archive does not have it. Begins to fetch those after it. Errors as
  // RestoreSpool::Fetch.
  Result<std::optional<Segment>> Get(uint64_t number) const;

  // kUnsupported: of a segment that the archive does not have, a directory has such a file.
  Status RefuseCompressed(uint64_t number) const;

 private:
  uint32_t TimelineOf(uint64_t number) const;

  std::shared_ptr<RestoreSpool> spool_;
  std::vector<TimelineBranch> branches_;
  WalIdentity identity_;
  Packed packed_;
};

// The newest timeline that has a history file after this one, as recovery looks for it
// (findNewestTimeLine in access/transam/timeline.c). kCorrupt: such a file is none, or names no timeline
// before its own. Other errors as RestoreSpool::ReadHistory.
Result<uint32_t> FindNewestTimeline(RestoreSpool* spool, uint32_t timeline);

// What the header of the segment says that has this LSN, on the first of these timelines that has one.
// The segment size is not known before: 16 MB are tried first. kNotFound: there is no such segment.
// kCorrupt: it is none.
Result<WalIdentity> FetchIdentity(RestoreSpool* spool, Lsn start,
                                  const std::vector<uint32_t>& timelines);

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_WAL_LINE_H_

// Which timeline the WAL of a set is of, and which timelines that one descends from.
#ifndef NEON_REDO_WAL_LINEAGE_H_
#define NEON_REDO_WAL_LINEAGE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "cpp_core/archive/timeline_history.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/version.h"

namespace neon_redo {

class WalSet;  // cpp_core/archive/wal_set.h

struct WalLineage {
  const pg::Version* version = nullptr;  // of the WAL; not null once read
  uint64_t system_identifier = 0;
  uint32_t timeline = 0;
  std::vector<TimelineFork> forks{};  // the ancestors, the oldest first
  bool is_known = false;              // there is a history file, or need not be one

  // The timeline that WAL just before the LSN is of. Of several, the oldest.
  uint32_t At(Lsn lsn) const;
  // Whether this line has the WAL of that timeline up to the LSN. True also where no history file
  // says so, for a lower timeline.
  bool Has(uint32_t timeline, Lsn lsn) const;
};

// Of the WAL that OpenWal finds with the same arguments; with a timeline it need not reach back to
// `from`, unless the set has a restore command. Errors as OpenWal; a history file that is there and
// cannot be read is one too.
Result<WalLineage> ReadLineage(const WalSet& wal, std::optional<uint32_t> timeline,
                               std::optional<Lsn> from);

// WAL that a line does not have although the set does.
struct OtherTimeline {
  uint32_t timeline;
  Lsn start;  // of the first segment of it that the line leaves out; 0: it is not known
};

// The timelines of the set that are not, or not to their end, part of the line. Segments that only
// wait for their use do not count.
std::vector<OtherTimeline> FindOtherTimelines(const WalSet& wal, const WalLineage& lineage);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_LINEAGE_H_

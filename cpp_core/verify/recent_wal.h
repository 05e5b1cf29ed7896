// What WAL has changed since a point, for files that a running server goes on changing.
#ifndef NEON_REDO_VERIFY_RECENT_WAL_H_
#define NEON_REDO_VERIFY_RECENT_WAL_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/ingest.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// A server writes a page after its WAL. So what it did to a page that was read is in the WAL that is there
// afterwards. Not thread-safe.
class RecentWal {
 public:
  // wanted: the blocks that may be asked for; all else is kept. It must outlive the object.
  RecentWal(const pg::Version& version, const std::set<BlockTag>& wanted)
      : version_(version), wanted_(wanted), view_(version) {}

  // Reads the WAL from `from`, where a record begins, to what was its end when `wal` was opened, or later.
  // next_full_xid: see pg::TwoPhasePath.
  // Errors as of WalReader.
  Status Read(const WalSet& wal, uint32_t timeline, Lsn from, uint64_t next_full_xid,
              bool track_commit_timestamp);

  Lsn end() const { return end_; }
  // A server was shut down, or has recovered from a crash, or begun a timeline, after this LSN: where; or 0.
  Lsn RestartAfter(Lsn lsn) const;

  bool Changes(const BlockTag& block) const { return blocks_.contains(block); }
  // It, or its database, was created, truncated or dropped.
  bool ChangesRelation(const RelFileNode& rel) const {
    return relations_.contains(rel) || databases_.contains(rel.db);
  }
  // What the finding is about is changed, so that the file need not be as it was.
  bool Excuses(const Mismatch& mismatch) const;

 private:
  Status Take(const WalRecord& record, uint64_t next_full_xid);
  void TakeChange(const Change& change, Lsn start, uint64_t next_full_xid);
  bool ChangesFile(const Mismatch& mismatch) const;

  const pg::Version& version_;
  const std::set<BlockTag>& wanted_;
  RecordView view_;
  ChangeList others_;
  Ingest ingest_;
  Lsn end_;
  std::set<BlockTag> blocks_;
  std::set<RelFileNode> relations_;
  std::set<uint32_t> databases_;
  std::set<std::pair<uint32_t, uint32_t>> maps_;           // tablespace, database
  std::set<std::pair<std::string, uint32_t>> slru_pages_;  // of files, by their blocks
  std::vector<Change> slru_removals_;                      // without payload
  std::set<std::string> states_;                           // of prepared transactions
  std::vector<Lsn> restarts_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_RECENT_WAL_H_

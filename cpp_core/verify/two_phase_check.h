// The state files of prepared transactions (pg_twophase): those that WAL leaves, against those on
// disk.
#ifndef NEON_REDO_VERIFY_TWO_PHASE_CHECK_H_
#define NEON_REDO_VERIFY_TWO_PHASE_CHECK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/catalog/commit_log.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/state_bytes.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// Not thread-safe. Memory: the state of each prepared transaction.
class TwoPhaseCheck {
 public:
  // Takes the state files of the base backup. Call before Take. version: of its server. next_full_xid:
  // by its control file. log: of the backup. reads_all: one that cannot be read is no
  // error, and CheckBase reports it.
  Status ReadBase(const BaseBackup& base, const BaseFiles& list, const pg::Version& version,
                  uint64_t next_full_xid, CommitLog* log, bool reads_all = false);

  // Takes a change of the record. Changes to anything else are ignored.
  void Take(const Change& change, const WalRecord& record);

  // What is known of the WAL that was taken, for a run that takes later WAL. Load comes after ReadBase. What is
  // loaded is not to be used unless in->ok() afterwards.
  void Save(StateWriter* out) const;
  void Load(StateReader* in);

  // The files of transactions that were prepared before the LSN and have not ended, by transaction. Valid until
  // Take is called.
  std::map<uint32_t, const std::string*> PreparedBefore(Lsn lsn) const;

  // Transactions are prepared after the last record.
  bool HasPrepared() const;

  // Reports the backup's state files that WAL neither writes again nor ends, and that are damaged or cannot be
  // read. missing:
  // files that are reported already.
  void CheckBase(uint64_t next_full_xid, const std::set<std::string>& missing,
                 Findings* findings) const;

  // list: of the data directory. next_full_xid: by its control file. settled: see PageCheck. is_lost: the
  // backup has lost this file, so that nothing is known of it; empty: it has lost none.
  using IsLost = std::function<bool(const std::string& file)>;
  Status Compare(const BaseBackup& data, const BaseFiles& list, uint64_t next_full_xid, Lsn settled,
                 const IsLost& is_lost, VerifyResult* result) const;

 private:
  struct State {
    std::optional<std::string> content;  // of the file; none: WAL ends the transaction
    Lsn start, end;                      // of the last record about it; 0: the base backup's
    // pg_xact says that it has ended: a server removes the file when it starts (ProcessTwoPhaseBuffer).
    bool is_stale = false;
  };
  const pg::Version* version_ = nullptr;  // not null from ReadBase on
  std::map<uint32_t, State> states_;
  std::set<uint32_t> of_base_;                     // that the base backup has files of
  std::map<std::string, std::string> unreadable_;  // files of the base backup: why
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_TWO_PHASE_CHECK_H_

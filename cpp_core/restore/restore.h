// A base backup rolled forward to a point, in parallel: a data directory as a standby leaves it that was
// stopped at a restartpoint. docs/restore.md is the guide.
//
// Let C be the last checkpoint record that recovery to the target replays. Every change before C is applied
// here. The server replays the rest, from C's redo point on, and stops at the target by its own rules.
#ifndef NEON_REDO_RESTORE_RESTORE_H_
#define NEON_REDO_RESTORE_RESTORE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/restore/target.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/native.h"
#include "neon_redo/verify.h"
#include "neon_redo/worker.h"

namespace neon_redo {

struct RestoreOptions {
  // Of the WAL: as in VerifyOptions.
  std::vector<std::string> wal;
  std::string restore_command{};
  std::string wal_stanza{};
  std::string wal_cipher_pass_file{};
  std::optional<uint32_t> timeline{};

  RestoreTarget target{};
  std::string target_action = "promote";  // recovery_target_action
  std::string output;                     // a directory that is empty, or is made
  // Where tablespaces go, by where they were. Others go where they were, if that place is free.
  std::map<std::string, std::string> tablespaces{};

  Engine engine = Engine::kAuto;
  WorkerOptions worker;
  int jobs = 1;
  uint64_t memory = uint64_t{1} << 30;
  std::string spill_directory = "/tmp";
  bool syncs = true;  // flushes all that was written
  // The backup itself becomes the data directory, and output means nothing. Until all that is to be done is known
  // and flushed, the backup is as it was; after that a later call ends it (FinishEarlierRestore).
  bool in_place = false;
  // The output may hold an older or damaged cluster with the same system identifier: only what differs from the
  // backup is written, and what it has not is removed.
  bool delta = false;
  // The output is a base backup as of the last checkpoint before the target, and no directory to start a server on.
  bool makes_backup = false;
  bool quick = false;  // pages that WAL does not change are copied without a look at them
  ProgressFunction progress;
};

struct RestoreResult {
  bool replays =
      false;  // false: there is no checkpoint to roll forward to, and the server replays it all
  Lsn start;  // of the WAL
  Lsn checkpoint, redo;  // replays: C, and where the server's own replay begins
  Lsn target_end;  // end of the last record that the server will replay, as far as WAL is there now
  std::optional<WalTime> last_transaction;  // when the last transaction before it ended
  uint32_t timeline = 0;
  uint64_t records = 0;  // before C
  uint64_t files = 0, bytes_copied = 0, pages_written = 0, pages_made_good = 0, maps_emptied = 0;
  uint64_t pages_spilled = 0;
  double survey_seconds = 0, copy_seconds = 0, replay_seconds = 0, sync_seconds = 0;
  EngineCounts engines;
  std::string server_restore_command{};              // as it was written
  uint64_t segments_copied = 0;                      // to pg_wal
  std::map<std::string, std::string> tablespaces{};  // links in pg_tblspc and where they lead
  std::vector<std::string> notes{};
};

// Errors leave the output without global/pg_control, which no server starts on, and with a file
// neon_redo.restoring; another run into the same directory then begins anew. kInvalidArgument: the output is not
// empty, or a tablespace has no free place. kNotFound: WAL does not reach the target; the message names the
// last point that it reaches. Nothing is written before these are known.
Result<RestoreResult> Restore(const RestoreOptions& options, const BaseBackup& base);

// Of a restore in place that was interrupted: ends it, and says whether there was one. To be called before the backup
// is opened. kInvalidArgument: it was to another target.
Result<bool> FinishEarlierRestore(const RestoreOptions& options, const std::string& backup);

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_RESTORE_H_

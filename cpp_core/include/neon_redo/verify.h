// Verification: pages rebuilt from WAL, compared with a cluster's files or with the images that WAL
// itself has. docs/verify.md is the guide.
//
//   neon_redo::VerifyOptions options;
//   options.wal = {"/archive/wal"};
//   const auto result = neon_redo::VerifyCluster(options, "/backup/base", "/var/lib/cluster");
//   if (result) std::cout << result->mismatches.size() << " differences\n";
//
// The functions run on the caller's thread and up to options.jobs threads of their own, and are
// thread-safe: calls do not share anything.
#ifndef NEON_REDO_VERIFY_H_
#define NEON_REDO_VERIFY_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/native.h"
#include "neon_redo/page_key.h"
#include "neon_redo/version.h"
#include "neon_redo/worker.h"

namespace neon_redo {

inline constexpr uint32_t kNoBlockNumber = 0xffffffffu;

// What is wrong with a page or file on disk, as far as that is known.
enum class Damage : uint8_t {
  kNone,         // not on disk: the page could not be rebuilt, or differs from the image in WAL
  kMissingFile,  // the file is not there
  kShortFile,    // the file ends before the block
  kLongFile,     // the file has pages after the end that WAL leaves it
  kExtraFile,    // a file or directory of what WAL has dropped, or never had
  kUnreadable,   // the file cannot be read, or is none
  kZeroed,       // nothing but zeroes, where there should be a page
  kMisplaced,    // it is the page of another block, which is different too
  kTorn,      // written in part: some sectors are as in the base backup, the rest as they must be
  kChecksum,  // the checksum does not fit the content
  kStale,     // older than the WAL demands: a write was lost
  kFuture,    // newer than the last record that changes it
  kContent,   // the right LSN, but other bytes
  kHeader,    // the page's header is not one that a page can have
};
inline constexpr int kDamages = static_cast<int>(Damage::kHeader) + 1;
// "missing file", "short file", "zeroed", …; null for kNone.
const char* DamageName(Damage damage);

// Most differences that a VerifyResult lists.
inline constexpr size_t kMostMismatches = 10'000;

// One page or file that is not what it must be, or a page that could not be rebuilt; or a run of
// adjacent blocks of one fork that are missing, zeroed or unreadable for one reason.
struct Mismatch {
  BlockTag
      tag;  // relation 0/0/0: not a relation's page but `file`; block kNoBlockNumber: all of it
  Lsn lsn;  // end of the last record that changes the block
  Lsn last_start;                  // its start; 0: no record names the block
  std::optional<uint32_t> offset;  // of the first byte that differs after masking; none when the
                                   // difference is not one of bytes (see problem)
  std::string problem;             // one line
  std::string last_record;         // described, one line
  Damage damage = Damage::kNone;
  Lsn disk_lsn;        // of the page on disk; 0 when there is none
  std::string file{};  // path below the data directory; empty when no files were looked at
  // For FindMisplaced:
  uint64_t rebuilt_hash = 0, disk_hash = 0;  // of the masked pages; 0: none
  Lsn rebuilt_lsn{};
  uint32_t blocks = 1;     // how many, from tag.block on; the other fields are those of the first
  bool in_backup = false;  // in the base backup itself, not in data_directory
  // What it is of, as far as the catalogs say: "table public.t of database app", "transactions 0 to 32767".
  std::string subject{};
  std::optional<uint8_t>
      rmid{};  // of the last record: counted in VerifyResult::by_rmgr; none: it is not
};

// What was read of the base backup itself.
struct BackupCounts {
  bool was_read = false;       // false: VerifyOptions::quick, or there is no backup
  bool has_manifest = false;   // the backup's manifest is there and whole
  bool has_checksums = false;  // pages have checksums
  uint64_t files = 0;          // that are there, without pg_wal
  uint64_t files_read = 0, bytes_read = 0;
  uint64_t pages = 0;              // of relations
  uint64_t files_by_checksum = 0;  // that have the checksum in the manifest
  uint64_t pages_made_good =
      0;                // damaged as copied, but WAL since the backup's start rebuilds them
  uint64_t losses = 0;  // of VerifyResult::different: what is wrong in the backup
  uint64_t unchanged_compared =
      0;  // pages and SLRU pages that WAL does not change, with data_directory
};

// What a ledger (VerifyOptions::ledger) did for a verification.
struct LedgerUse {
  // Earlier runs had proven files of the backup and WAL, and this one relied on that.
  bool relied = false;
  std::string why_all{};  // why all was read though there was a ledger, or was to be one; one line
  uint64_t files = 0;     // of the backup that were relied on
  uint64_t files_read_again =
      0;                  // of them: what they are on disk had changed, their content had not
  uint64_t segments = 0;  // of WAL that were relied on
  uint64_t segments_read_again = 0;  // of them, likewise
  Lsn proven_to{};                   // end of the WAL that was relied on
  // When that was proven, and when all was last read: seconds since 1970-01-01 UTC; 0: never.
  int64_t proven_at = 0, read_all_at = 0;
  bool written = false;           // the ledger has what this run has proven
  std::string why_not_written{};  // one line; empty: it was written, or something is wrong
};

// A cluster that was compared while a server ran on it. Pages were looked at again, as checkpoints
// came.
struct RunningCluster {
  struct Look {
    Lsn settled;  // the last checkpoint's redo point: what no record changes after it was compared
    Lsn wal_end;  // of the WAL that was read for it
    uint64_t compared;   // pages
    uint64_t undecided;  // pages that are left for the next look
  };
  bool is_standby = false;
  std::vector<Look> looks{};
};

struct RmgrCounts {
  uint64_t rebuilt = 0;
  uint64_t equal = 0;
  uint64_t different = 0;  // a request that failed counts here
};

struct VerifyResult {
  const pg::Version* version = nullptr;        // of the WAL; null: none was read
  std::vector<std::string> wal_directories{};  // that were read
  std::string restore_command{};               // that had what they did not have
  // What is unusual about the files of WAL: WalReader::notes.
  std::vector<std::string> wal_notes{};
  uint64_t wal_bytes = 0;
  uint64_t records = 0;
  EngineCounts engines;                      // of changes: who applied them
  uint64_t pages_compared = 0;               // with pages on disk
  uint64_t pages_replayed = 0;               // rebuilt without a copy to compare with
  std::map<std::string, uint64_t> compared;  // by what it is: "relation pages", "pg_xact", …
  uint64_t images_compared = 0;              // pages, with images in WAL
  uint64_t pages_spilled = 0;                // written to the temporary file, however often
  uint64_t different = 0;                    // pages and files, whether listed or not
  std::map<std::string, uint64_t> damage;    // the same by kind, see DamageName
  std::vector<Mismatch> mismatches;          // by LSN; at most kMostMismatches
  uint64_t not_listed = 0;                   // pages and files that mismatches leaves out
  std::vector<Mismatch> notes;               // what is unusual on disk, but no difference
  uint64_t notes_not_listed = 0;             // beyond kMostMismatches of them
  std::map<std::string, uint64_t> skipped;   // what was not compared, by reason
  std::array<RmgrCounts, 256> by_rmgr{};     // by the resource manager of the last record applied
  Lsn start, end;                            // of the WAL read
  std::string end_reason{};                  // why there is no more, or no more was read; one line
  // When the last transaction in it ended: microseconds since 2000-01-01 UTC.
  std::optional<int64_t> last_transaction{};
  uint32_t timeline = 0;  // that WAL was read of, with its ancestors
  // Timelines that the directory has WAL of and that were not read, or not to their end, with the
  // start of the first segment that was not (0: not known). Only where options.timeline and a data
  // directory do not say which timeline is meant.
  std::vector<std::pair<uint32_t, Lsn>> other_timelines{};
  BackupCounts backup{};
  LedgerUse ledger{};
  std::optional<RunningCluster> running{};  // none: no server ran on data_directory
  Lsn backup_end{};  // replay up to here makes the base backup consistent; 0: not known
  double elapsed_seconds = 0;
};

// How far along the work is, for a progress bar.
struct VerifyProgress {
  const char* phase;  // "reading the backup", "reading WAL", "comparing pages"
  uint64_t done;
  uint64_t total;  // an estimate; 0 when not known
};
using ProgressFunction = std::function<void(const VerifyProgress&)>;

struct VerifyOptions {
  // Directories of segments: WalReaderOptions::directories. VerifyCluster reads data_directory's own
  // pg_wal, too.
  std::vector<std::string> wal;
  // WalReaderOptions::restore_command. VerifyImages wants a directory with segments besides.
  std::string restore_command{};
  // WalReaderOptions::stanza and cipher_pass_file.
  std::string wal_stanza{};
  std::string wal_cipher_pass_file{};
  // To read WAL of. Else: the data directory's, or the highest one that has the first record.
  std::optional<uint32_t> timeline{};
  Engine engine = Engine::kAuto;
  WorkerOptions worker;       // how to run a worker; none is run before one is needed
  int jobs = 1;               // threads, each with a worker of its own; at least 1
  ProgressFunction progress;  // called on the caller's thread, often; may be empty
  // Bytes of memory that this process may use; pages beyond it are spilled to a temporary file.
  uint64_t memory = uint64_t{1} << 30;
  std::string spill_directory = "/tmp";  // of that file
  // Of VerifyCluster without data_directory: replay ends where recovery with recovery_target_lsn or
  // recovery_target_time (microseconds since 2000-01-01 UTC) would stop, inclusive as by default. At
  // most one of them. kNotFound: WAL ends before; kInvalidArgument: it is before the backup's end.
  std::optional<Lsn> until_lsn{};
  std::optional<int64_t> until_time{};
  // Of VerifyCluster without data_directory: a file that says which files and segments earlier runs have
  // proven. They are not read again, unless reads_all (docs/ledger.md). Empty: there is none. It goes with
  // neither a target, quick, a restore command nor Engine::kNative.
  std::string ledger{};
  bool reads_all = false;
  // Of VerifyCluster: does not read the base backup as a whole, and compares only what WAL changes.
  bool quick = false;
  // Of VerifyCluster with a data_directory that a server runs on: how long to look again at pages that are
  // changed after the last checkpoint.
  std::chrono::duration<double> patience{600};
  // Bytes a second that are read of the files of the base backup and of data_directory; 0: no limit.
  uint64_t max_rate = 0;
};

// Rebuilds every page that WAL from the backup's start to the cluster's shutdown checkpoint
// touches, of relations (all forks but the free space map), pg_xact, pg_multixact and pg_commit_ts,
// and compares it with the page in data_directory; and the relation maps, the state files of
// prepared transactions, and which relation files there are and how long.
//
// Unless options.quick, all of the base backup is read before. Its files must be those of
// backup_manifest, if there is one, and those that pg_control, its own catalogues and the WAL demand.
// Every page must have a right header and, with data checksums, a right checksum, unless WAL up to the
// end of the backup makes the page whole before it is read. What is lost or damaged in the backup is a
// Mismatch with in_backup. What WAL does not change in data_directory must be as it is in the backup.
//
// base_backup lies as its tool keeps it: a plain directory, tar archives, or the newest backup of a pgBackRest
// repository or a Barman server (docs/verify.md). What is compressed is unpacked to a file without a name in
// options.spill_directory.
//
// data_directory may be a later base backup of a running server. Then WAL is replayed to that
// backup's end, and what no record changes from its start on is compared. So it is with a standby, from
// its last restartpoint on, and with a cluster that has crashed, from its last checkpoint on. base_backup
// may be a snapshot or a copy of a stopped cluster, without a backup_label.
//
// A server may run on data_directory. Then what no record changes after its last checkpoint (restartpoint)
// is compared, and the rest again after the next ones, for options.patience. What is left is skipped. The
// server is not asked anything.
//
// Without a data_directory (empty): replays WAL to its end, or to options.until_lsn or until_time, and
// compares no pages.
//
// Memory: options.memory. Pages that do not fit are spilled to a file. About 100 bytes for each block
// that was touched and not dropped since are never spilled: they are the least that is needed.
//
// Errors: directories that are not what they must be, a server that is stopped, started or promoted
// meanwhile, WAL that is damaged or ends too early, a server that cannot be run. A record that a worker refuses or misapplies is a
// mismatch, not an error; so is a missing or damaged file.
Result<VerifyResult> VerifyCluster(const VerifyOptions& options, const std::string& base_backup,
                                   const std::string& data_directory);

// The oracle: WAL written with wal_consistency_checking = 'all' holds, for every block that a
// record changes, the page as it was afterwards. Each record is replayed over the image before it,
// and the answer compared with its own image.
//
// Reads all WAL of options.wal. Needs no data directory. Memory as VerifyCluster.
//
// Errors: WAL that cannot be read or is damaged, a server that cannot be run, WAL without images.
// What a worker refuses or gets wrong is not an error but a mismatch.
Result<VerifyResult> VerifyImages(const VerifyOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_H_

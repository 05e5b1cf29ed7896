// What verification reads of a data directory or a base backup: the control file, the backup label,
// pages of relations. Opens files for reading only.
#ifndef NEON_REDO_VERIFY_DATA_DIRECTORY_H_
#define NEON_REDO_VERIFY_DATA_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/wal/lineage.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// From global/pg_control.
struct ControlData {
  const pg::Version* version = nullptr;  // not null once read
  uint64_t system_identifier;
  bool shut_down;     // cleanly, by a server that was not in recovery
  bool is_standby;    // shut down cleanly in recovery
  std::string state;  // in the words of pg_controldata
  Lsn checkpoint;     // start of the last checkpoint record
  Lsn redo;           // where replay from that checkpoint starts
  // Of a standby that was shut down, or a backup of one: no page is newer. 0 on others.
  Lsn min_recovery_point;
  uint32_t min_recovery_timeline;
  uint32_t timeline;
  bool checksums;
  bool wal_log_hints;
  bool track_commit_timestamp;
  uint32_t oldest_xid, next_xid;  // as of the last checkpoint; what pg_xact has
  uint64_t next_full_xid;         // next_xid with its epoch
  uint32_t oldest_multixact, next_multixact, next_multixact_offset;  // of pg_multixact
  uint32_t oldest_commit_ts, newest_commit_ts;  // transactions that pg_commit_ts has; 0: none
};

// kNotFound: not a data directory. kCorrupt: bad CRC. kUnsupported: another major version.
Result<ControlData> ReadControlData(const std::string& directory);

// kNotFound: not a base backup, or no longer one. kCorrupt: the lines are not there.
// kInvalidArgument: it is an incremental backup.
Result<BackupLabel> ReadBackupLabel(const std::string& directory);

// The backup was taken on a timeline that `of` ("the cluster in DIR") descends from, where lineage is
// that of `of`. kInvalidArgument: it was not, so that the WAL is no continuation of the backup.
Status CheckDescent(const BackupLabel& label, const std::string& backup, const WalLineage& lineage,
                    const std::string& of);

// The content of a file below the directory; empty when there is none. Errors as ReadClusterFile.
Result<std::optional<std::string>> ReadFileIfThere(const std::string& directory,
                                                   const std::string& name);

// The files of one fork.
struct ForkFiles {
  uint32_t blocks = 0;  // whole ones, as the server counts: up to the first file that is not full
  // The files after that one, by their numbers, with their whole blocks. The server never looks at
  // them. It leaves them empty when it truncates the relation.
  std::vector<std::pair<uint32_t, uint32_t>> beyond{};
  // The first file that has more than kBlocksPerFile blocks, which no server reads (mdnblocks).
  std::optional<uint32_t> oversized{};
  bool operator==(const ForkFiles&) const = default;
};

// What relation files there are: forks (block 0 stands for the fork), and databases by tablespace,
// the shared relations' as 1664 and 0. Temporary relations are left out.
struct RelationFileList {
  std::map<BlockTag, ForkFiles> forks;
  std::set<std::pair<uint32_t, uint32_t>> databases;
  // What has a relation file's name and is none: a directory, a FIFO, a link that leads nowhere. By
  // the first block that the file would have. And the same of a database's directory.
  std::map<BlockTag, std::string> strange_files;
  std::map<std::pair<uint32_t, uint32_t>, std::string> strange_databases;
};
// kIo and others: a directory or file that cannot be looked at. A tablespace that is not there has no
// databases if may_lack_tablespaces; else it is an error.
Result<RelationFileList> ListRelationFiles(const std::string& directory, const pg::Version& version,
                                           bool may_lack_tablespaces);

// The WAL in directories that `wal` names, of this version and system identifier, and the other directory, with this
// control file, are of one cluster. kInvalidArgument: they are not.
Status CheckOneCluster(const std::string& wal, const pg::Version& version, uint64_t of_wal,
                       const std::string& directory, const ControlData& control);

// The WAL of this timeline, or of the one that a reader without a timeline takes, is of the backup's
// cluster, and its timeline descends from the backup's. kInvalidArgument: it is not.
Status CheckBackupBeforeWal(const std::string& backup, const BackupLabel& label,
                            const ControlData& control, const WalSet& wal,
                            std::optional<uint32_t> timeline);

// Nothing strange: of a base backup that stands is an error.
Status CheckNothingStrange(const RelationFileList& list, const std::string& directory,
                           const pg::Version& version);

// Pages of relation files below one data directory. Keeps some files open, as many as the process's
// limit allows for some hundred such objects. Not thread-safe.
class RelationFiles {
 public:
  // version: of the cluster. Null only where no page is read.
  RelationFiles(std::string directory, const pg::Version* version);

  enum class Found { kPage, kNoFile, kPastEnd, kUnreadable };
  // Writes kBlockSize bytes to page when the block is there. A last block that is there in part is
  // past the end, as for the server. Errors: the machine is short of something.
  Result<Found> Read(const BlockTag& tag, uint8_t* page);
  // The same where a page that cannot be read is an error: whether the block is there.
  Result<bool> ReadOrFail(const BlockTag& tag, uint8_t* page);
  // Why the last call found kUnreadable: one line.
  const std::string& reason() const { return reason_; }

 private:
  Result<int> Open(const BlockTag& tag);
  Result<Found> ReadOpen(const BlockTag& tag, uint8_t* page);
  Result<Found> Unreadable(Error error);

  const std::string directory_;
  const pg::Version* const version_;
  const size_t most_open_;
  // By relation, fork and number of the 1 GB segment (as block); none: there is no such file.
  std::map<BlockTag, FileDescriptor> open_;
  std::string reason_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_DATA_DIRECTORY_H_

// global/pg_control (catalog/pg_control.h): read, and written for a cluster that holds nothing.
// Byte order and alignment are this machine's, as PostgreSQL has it.
#ifndef NEON_REDO_PG_CONTROL_FILE_H_
#define NEON_REDO_PG_CONTROL_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "cpp_core/pg/checkpoint.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo::pg {

inline constexpr size_t kControlFileSize = 8192;  // PG_CONTROL_FILE_SIZE
inline constexpr const char* kControlFile = "global/pg_control";

// DBState. From outside it may hold any number.
enum class ClusterStatus : uint32_t {
  kStartup = 0,
  kShutDown = 1,
  kShutDownInRecovery = 2,
  kShuttingDown = 3,
  kInCrashRecovery = 4,
  kInArchiveRecovery = 5,
  kInProduction = 6,
};
// In the words of pg_controldata: "shut down", "in production"; "unrecognized" for any other
// number.
const char* ClusterStatusText(ClusterStatus status);

struct ControlFile {
  const Version* version;  // not null
  uint64_t system_identifier;
  ClusterStatus status;
  Lsn checkpoint;  // start of the last checkpoint record
  CheckPoint checkpoint_copy;
  // Of a standby, and of a backup of one: no page is newer, so that replay to here is consistent.
  Lsn min_recovery_point;
  uint32_t min_recovery_timeline;
  bool checksums;
  int32_t wal_level;
  bool wal_log_hints;
  bool track_commit_timestamp;
};

// bytes: the file's content. what: the file's name, for messages. kCorrupt: too short, or the CRC
// is wrong. kUnsupported: another version, or a cluster with another block or segment size.
Result<ControlFile> ParseControlFile(Bytes bytes, const std::string& what);

// Where recovery begins, as CreateRestartPoint (access/transam/xlog.c) leaves it.
struct RestartPointControl {
  Lsn checkpoint;            // start of the checkpoint record
  Bytes checkpoint_content;  // of the record
  Lsn min_recovery_point;    // its end
  uint32_t timeline;
  Bytes parameters;  // of the last record of XLOG_PARAMETER_CHANGE before; empty: none
};
// The content of global/pg_control for a cluster that is in archive recovery, made from the one of its backup.
// Errors: as of ParseControlFile; kCorrupt also: one of the records is too short.
Result<std::string> ControlFileAtRestartPoint(std::string_view file, const std::string& what,
                                              const RestartPointControl& point);

// The content of global/pg_control in a worker's home: a cluster that was shut down cleanly and
// holds nothing. It is what `postgres --single` checks before it starts (ReadControlFile in
// access/transam/xlog.c). Shorter than kControlFileSize, which the server accepts.
std::string EmptyControlFile(const Version& version);

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_CONTROL_FILE_H_

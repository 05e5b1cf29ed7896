// What WAL has up to a target: read once before anything is written.
#ifndef NEON_REDO_RESTORE_SURVEY_H_
#define NEON_REDO_RESTORE_SURVEY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/pg/checkpoint.h"
#include "cpp_core/restore/target.h"
#include "cpp_core/verify/cluster_inputs.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// A checkpoint record that recovery can begin at.
struct RestartPoint {
  Lsn start, end;  // of the record
  pg::CheckPoint checkpoint{};
  std::string content{};  // of the record, as pg_control keeps it
  // The settings that WAL depends on, as the last record before says; none: no record does.
  std::string parameters{};
};

struct NewTablespace {
  uint32_t oid;
  std::string path;  // empty: in place
  Lsn start;         // of the record
};

struct Survey {
  std::optional<RestartPoint> point;  // none: the server has to begin at the backup's start
  Lsn start, end;                     // of what recovery replays
  Lsn read_end;  // of what the server reads: also the record that it stops before
  std::optional<WalTime> last_transaction;
  std::vector<Lsn> copied_databases;           // starts of the records, in order
  std::vector<NewTablespace> new_tablespaces;  // in order
};

// Errors: kNotFound, WAL ends before the target; kInvalidArgument, the target lies before the end of the
// backup; kUnsupported, WAL of wal_level=minimal; others, WAL cannot be read. progress may be empty.
Result<Survey> SurveyWal(const ClusterInputs& inputs, const VerifyOptions& wal,
                         const RestoreTarget& target, const ProgressFunction& progress);

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_SURVEY_H_

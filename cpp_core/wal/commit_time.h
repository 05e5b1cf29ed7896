// Ranges of WAL by the times at which transactions ended.
#ifndef NEON_REDO_WAL_COMMIT_TIME_H_
#define NEON_REDO_WAL_COMMIT_TIME_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Microseconds since 2000-01-01 00:00:00 UTC, as in WAL (TimestampTz in datatype/timestamp.h).
using WalTime = int64_t;

// Of a time in seconds since 1970.
WalTime FromUnixTime(int64_t seconds);

// "2024-05-31 12:30", with seconds and a fraction of them if wanted, and with a time zone "Z",
// "UTC", "GMT", "+02" or "-05:30"; without one it is local time (TZ). kInvalidArgument: anything else; the
// message says what a time looks like.
Result<WalTime> ParseWalTime(std::string_view text);

// When the transaction of this record committed or aborted; nothing for other records and for ones
// that are too short.
std::optional<WalTime> TransactionEnd(const RecordView& record);

// Where recovery with recovery_target_lsn or recovery_target_time stops, inclusive as by default
// (recoveryStopsBefore and recoveryStopsAfter in access/transam/xlogrecovery.c).
struct RecoveryTarget {
  std::optional<Lsn> lsn;       // after the first record that starts here or later
  std::optional<WalTime> time;  // before the first transaction that ended later

  bool exists() const { return lsn || time; }
  // `end`: when the record's transaction ended (TransactionEnd).
  bool StopsBefore(std::optional<WalTime> end) const { return time && end && *end > *time; }
  bool StopsAfter(Lsn start) const { return lsn && start >= *lsn; }
};

// The WAL is cut where recovery to such a time (recovery_target_time, not inclusive) would stop: in
// front of the first transaction that ended at that time or later. Concurrent transactions do not
// write their records quite in the order of their times, so a transaction after a cut may have ended
// a moment before it.
struct TimeRange {
  std::optional<WalTime> after;   // what recovery to this time would not replay
  std::optional<WalTime> before;  // what recovery to this time would replay
};

// The end of the last transaction's record before each cut. Nothing: there is no cut, or for `from`,
// no transaction before it; `to` is then where the record at the cut starts.
struct TimeRangeLsns {
  std::optional<Lsn> from;
  std::optional<Lsn> to;
};

// Reads the WAL up to the cuts. If nothing ended at `after` or later, `from` is the end of the last
// transaction. Errors: the reader's.
Result<TimeRangeLsns> FindTimeRange(WalReader* reader, const TimeRange& times);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_COMMIT_TIME_H_

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

// "2024-05-31 12:30", with seconds and a fraction of them if wanted, and with a time zone "Z",
// "+02" or "-05:30"; without one it is local time (TZ). kInvalidArgument: anything else; the
// message says what a time looks like.
Result<WalTime> ParseWalTime(std::string_view text);

// When the transaction of this record committed or aborted; nothing for other records and for ones
// that are too short.
std::optional<WalTime> TransactionEnd(const RecordView& record);

struct TimeRange {
  std::optional<WalTime> after;   // without transactions that ended before this time
  std::optional<WalTime> before;  // nor ones that ended at this time or later
};

struct TimeRangeLsns {
  std::optional<Lsn> from;  // the end of the last record of a transaction that ended too early
  std::optional<Lsn> to;    // the end of the last one that ended before `before`
};

// Reads the WAL to its end, or to the first transaction that ended too late. Concurrent
// transactions write their times in almost the order of their records, but not quite: the range is
// that of the records. Errors: the reader's.
Result<TimeRangeLsns> FindTimeRange(WalReader* reader, const TimeRange& times);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_COMMIT_TIME_H_

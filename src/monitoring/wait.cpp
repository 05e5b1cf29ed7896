// neon_wait_for_replay() waits until a standby has replayed an LSN. A walsender whose standby
// reports progress wakes the waiting sessions through a condition variable (observer.cpp). A
// session sleeps on its latch until a reply, its deadline or an interrupt, and never polls.
#include "src/monitoring/snapshot.h"

namespace neon_redo {

// Space for the copies that each check makes.
struct Look {
  Walsender* walsenders;
  WalsenderBackend* backends;
};

static Look MakeLook() {
  return {static_cast<Walsender*>(palloc(max_wal_senders * sizeof(Walsender))),
          static_cast<WalsenderBackend*>(palloc(max_wal_senders * sizeof(WalsenderBackend)))};
}

// Whether a standby of that name has replayed lsn. Without a name, whether every connected client
// that replays has, and there is at least one. Clients that report no replay position, such as
// pg_receivewal, are ignored.
static bool HasReplayed(XLogRecPtr lsn, const char* name, const Look& look) {
  const int count = ReadWalsenders(look.walsenders);
  const int backend_count = name != nullptr ? ReadWalsenderBackends(look.backends) : 0;
  int replaying = 0;
  int done = 0;
  for (int i = 0; i < count; i++) {
    const Walsender& walsender = look.walsenders[i];
    if (XLogRecPtrIsInvalid(walsender.reached[kReplay])) continue;
    if (name != nullptr) {
      const WalsenderBackend* backend = FindBackend(look.backends, backend_count, walsender.pid);
      if (backend == nullptr || strcmp(name, backend->application_name) != 0) continue;
    }
    replaying++;
    if (walsender.reached[kReplay] >= lsn) done++;
  }
  return name != nullptr ? done > 0 : replaying > 0 && done == replaying;
}

// Milliseconds until the deadline, at most PG_INT32_MAX as WaitLatch requires; -1: no deadline.
static long Remaining(TimestampTz deadline) {
  if (TIMESTAMP_IS_NOEND(deadline)) return -1;
  const int64 left = (deadline - GetCurrentTimestamp() + 999) / 1000;
  return static_cast<long>(Max(Min(left, PG_INT32_MAX), 0));
}

static bool WaitForReplay(Shared* shared, XLogRecPtr lsn, TimestampTz deadline, const char* name) {
  const Look look = MakeLook();
  // The process is queued before the first check, so that it misses no reply between the check and
  // the sleep. After an error, AbortTransaction removes it from the queue.
  ConditionVariablePrepareToSleep(&shared->replied);
  bool replayed = HasReplayed(lsn, name, look);
  while (!replayed) {
    const long remaining = Remaining(deadline);
    if (remaining == 0) break;
    ConditionVariableTimedSleep(&shared->replied, remaining, PG_WAIT_EXTENSION);
    replayed = HasReplayed(lsn, name, look);
  }
  ConditionVariableCancelSleep();
  return replayed;
}

static TimestampTz Deadline(const Interval* timeout) {
  const int64 days = static_cast<int64>(timeout->month) * DAYS_PER_MONTH + timeout->day;
  const double microseconds = static_cast<double>(days) * USECS_PER_DAY + timeout->time;
  if (microseconds < 0)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("timeout must not be negative"),
             errhint("Use 0 to check once, or null to wait without limit.")));
  if (microseconds > 100.0 * DAYS_PER_YEAR * USECS_PER_DAY) return DT_NOEND;
  return GetCurrentTimestamp() + static_cast<int64>(microseconds);
}

}  // namespace neon_redo

#pragma GCC visibility push(default)
extern "C" {
PG_FUNCTION_INFO_V1(neon_wait_for_replay);

Datum neon_wait_for_replay(PG_FUNCTION_ARGS) {
  core::Shared* shared = core::SharedFor("neon_wait_for_replay()");
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  if (max_wal_senders == 0)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("this server cannot have a standby to wait for"),
                    errdetail("max_wal_senders is 0."),
                    errhint("Raise max_wal_senders and restart the server.")));
  const XLogRecPtr lsn = PG_GETARG_LSN(0);
  const TimestampTz deadline = PG_ARGISNULL(1) ? DT_NOEND : core::Deadline(PG_GETARG_INTERVAL_P(1));
  const char* name = PG_ARGISNULL(2) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(2));
  PG_RETURN_BOOL(core::WaitForReplay(shared, lsn, deadline, name));
}
}
#pragma GCC visibility pop

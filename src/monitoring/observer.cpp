// A walsender's slot in shared memory (WalSnd) lacks two facts: when the standby last replied by
// this server's clock, and since when the standby has lagged. Nor does a walsender wake anybody
// when an asynchronous standby reports progress. The functions here run inside each walsender and
// do both.
//
// They are called through PqCommMethods, the server's replaceable table of functions that talk to
// the client (libpq/libpq.h). In each turn of its loops a walsender first processes the standby's
// replies, and then asks whether output is pending or flushes it (WalSndLoop, WalSndWaitForWal and
// ProcessPendingWrites in replication/walsender.c). This file wraps the two functions for that. The
// table is replaced after authentication, in walsenders only. An unchanged position costs one
// comparison.
#include "src/monitoring/observer.h"

#include "src/monitoring/shared.h"
#include "src/monitoring/snapshot.h"

namespace neon_redo {

static ClientAuthentication_hook_type next_authentication_hook = nullptr;
static const PQcommMethods* wrapped_methods = nullptr;
static PQcommMethods observing_methods;

// What this walsender recorded last, for comparison without the lock.
static Observation noted;
static XLogRecPtr noted_sent;
static XLogRecPtr noted_reached[kStages];
static TimestampTz noted_reply_time;

static void Publish() {
  WalsenderShared* mine = &SharedOrNull()->walsenders[MyWalSnd - WalSndCtl->walsnds];
  SpinLockAcquire(&mine->mutex);
  mine->observation = noted;
  SpinLockRelease(&mine->mutex);
}

// Reads MyWalSnd without its lock, because only this process writes these fields.
static void Observe() {
  if (MyWalSnd == nullptr) return;
  const XLogRecPtr reached[kStages] = {MyWalSnd->write, MyWalSnd->flush, MyWalSnd->apply};
  const bool moved = memcmp(reached, noted_reached, sizeof(reached)) != 0;
  const bool replied = moved || MyWalSnd->replyTime != noted_reply_time;
  if (!replied && MyWalSnd->sentPtr == noted_sent && noted.pid == MyProcPid) return;

  const TimestampTz now = GetCurrentTimestamp();
  const XLogRecPtr end = EndOfWal();
  for (int stage = 0; stage < kStages; stage++) {
    const bool behind = !XLogRecPtrIsInvalid(reached[stage]) && reached[stage] < end;
    if (!behind) noted.behind_since[stage] = 0;
    if (behind && noted.behind_since[stage] == 0) noted.behind_since[stage] = now;
  }
  if (replied) noted.reply_received = now;
  noted.pid = MyProcPid;
  noted_sent = MyWalSnd->sentPtr;
  noted_reply_time = MyWalSnd->replyTime;
  memcpy(noted_reached, reached, sizeof(reached));

  Publish();
  if (moved) ConditionVariableBroadcast(&SharedOrNull()->replied);
}

static int FlushIfWritable() {
  Observe();
  return wrapped_methods->flush_if_writable();
}

static bool IsSendPending() {
  Observe();
  return wrapped_methods->is_send_pending();
}

// Runs after WalSndKill has released the slot, since callbacks run in reverse order. A session that
// waits for all standbys then no longer waits for this one.
static void WakeWaiters(int, Datum) { ConditionVariableBroadcast(&SharedOrNull()->replied); }

static void AfterAuthentication(Port* port, int status) {
  if (next_authentication_hook) next_authentication_hook(port, status);
  if (!am_walsender || status != STATUS_OK || SharedOrNull() == nullptr) return;
  wrapped_methods = PqCommMethods;
  observing_methods = *wrapped_methods;
  observing_methods.flush_if_writable = FlushIfWritable;
  observing_methods.is_send_pending = IsSendPending;
  PqCommMethods = &observing_methods;
  on_shmem_exit(WakeWaiters, 0);
}

void ObserveWalsenders() {
  next_authentication_hook = ClientAuthentication_hook;
  ClientAuthentication_hook = AfterAuthentication;
}

}  // namespace neon_redo

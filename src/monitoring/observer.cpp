// A walsender keeps two facts to itself that its shared-memory slot (WalSnd) lacks: when its
// standby last replied by this server's clock, and since when the standby has been behind. And it
// wakes nobody when an asynchronous standby moves on. So this file looks over its shoulder.
//
// The way in is PqCommMethods, the server's exchangeable table of functions that talk to the client
// (libpq/libpq.h). Each turn of a walsender's loops first takes in the standby's replies and then
// asks whether output is pending or flushes it (WalSndLoop, WalSndWaitForWal and
// ProcessPendingWrites in replication/walsender.c); those two functions we wrap. The table is
// exchanged after authentication, in walsenders only. An unchanged position costs a comparison.
#include "src/monitoring/observer.h"

#include "src/monitoring/shared.h"
#include "src/monitoring/snapshot.h"

namespace neon_redo {

static ClientAuthentication_hook_type next_authentication_hook = nullptr;
static const PQcommMethods* wrapped_methods = nullptr;
static PQcommMethods observing_methods;

// What this walsender has noted last, to compare without the lock.
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

// MyWalSnd may be read without its lock here: only its own process writes these fields.
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

// Runs after WalSndKill has given the slot back (callbacks run in reverse order): who waits for all
// standbys need no longer wait for this one.
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

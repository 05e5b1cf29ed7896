// The background worker that fills the history. Every neon.walsender_sample_interval it copies the
// state of each walsender, the end of WAL and the use of each replication slot into the rings in
// shared memory. It has no database connection. It sleeps on its latch for the interval, or, if
// samples are turned off, until the configuration changes.
#include "src/monitoring/snapshot.h"

namespace neon_redo {

static void SampleEndOfWal(Shared* shared, XLogRecPtr end, TimestampTz now) {
  shared->end_of_wal[shared->sampled % kSamples] = {now, end};
  shared->sampled++;
}

// backend is null if the process is not known.
static void SampleWalsender(Shared* shared, const Walsender& walsender,
                            const WalsenderBackend* backend, XLogRecPtr end, TimestampTz now,
                            int64 lag) {
  WalsenderShared* entry = &shared->walsenders[walsender.index];
  Sample* sample = &entry->samples[entry->sampled % kSamples];
  sample->time = now;
  sample->pid = walsender.pid;
  sample->state = walsender.state;
  sample->sent = walsender.sent;
  memcpy(sample->reached, walsender.reached, sizeof(sample->reached));
  sample->end_of_wal = end;
  sample->lag = lag;
  strlcpy(sample->application_name, backend != nullptr ? backend->application_name : "",
          NAMEDATALEN);
  entry->sampled++;
}

// Records since when each of the count existing slots has been unused. notes is scratch space for
// max_replication_slots entries.
static void NoteSlots(Shared* shared, const Slot* slots, int count, SlotNote* notes,
                      TimestampTz now) {
  memcpy(notes, shared->slots, max_replication_slots * sizeof(SlotNote));
  for (int i = 0; i < max_replication_slots; i++) {
    SlotNote* note = &shared->slots[i];
    memset(note, 0, sizeof(*note));
    if (i >= count) continue;
    note->name = slots[i].name;
    if (slots[i].active_pid != 0) continue;
    note->inactive_since = now;
    for (int n = 0; n < max_replication_slots; n++)
      if (strcmp(NameStr(notes[n].name), NameStr(note->name)) == 0 && notes[n].inactive_since != 0)
        note->inactive_since = notes[n].inactive_since;
  }
}

[[noreturn]] static void RunSampler() {
  Shared* shared = SharedFor("the walsender sampler");
  auto* walsenders = static_cast<Walsender*>(palloc(max_wal_senders * sizeof(Walsender)));
  auto* backends =
      static_cast<WalsenderBackend*>(palloc(max_wal_senders * sizeof(WalsenderBackend)));
  auto* lags = static_cast<int64*>(palloc(max_wal_senders * sizeof(int64)));
  auto* slots = static_cast<Slot*>(palloc(max_replication_slots * sizeof(Slot)));
  auto* notes = static_cast<SlotNote*>(palloc(max_replication_slots * sizeof(SlotNote)));
  while (!ShutdownRequestPending) {
    if (walsender_sample_interval > 0) {
      const int walsender_count = ReadWalsenders(walsenders);
      const int backend_count = ReadWalsenderBackends(backends);
      const int slot_count = ReadSlots(slots);
      const XLogRecPtr end = EndOfWal();
      const TimestampTz now = GetCurrentTimestamp();
      for (int i = 0; i < walsender_count; i++)
        lags[i] = Lag(walsenders[i], ConfirmedStage(walsenders[i].reached), end, now);
      LWLockAcquire(shared->lock, LW_EXCLUSIVE);
      SampleEndOfWal(shared, end, now);
      for (int i = 0; i < walsender_count; i++)
        SampleWalsender(shared, walsenders[i],
                        FindBackend(backends, backend_count, walsenders[i].pid), end, now, lags[i]);
      NoteSlots(shared, slots, slot_count, notes, now);
      LWLockRelease(shared->lock);
    }
    const int timed = walsender_sample_interval > 0 ? WL_TIMEOUT : 0;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | timed, walsender_sample_interval,
              PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (!ConfigReloadPending) continue;
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
  }
  // After exit status 0 the postmaster would never start the worker again.
  proc_exit(1);
}

}  // namespace neon_redo

#pragma GCC visibility push(default)
extern "C" void NeonWalsenderSampler(Datum) {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
  BackgroundWorkerUnblockSignals();
  core::RunSampler();
}
#pragma GCC visibility pop

// Copies the server's shared memory and computes from it how many bytes a standby lacks, and its
// lag.
//
// The server measures lag when a reply arrives and keeps the value until the next reply
// (LagTrackerRead in replication/walsender.c). A standby that stops replying therefore keeps its
// last, small lag for ever, and a standby that has caught up may still show an old one.
// Here a stage that has reached the end of WAL has no lag. For any other stage, lag is the measured
// lag plus the age of the last reply. That sum is too large when WAL follows a pause, because the
// reply may be older than the WAL. The time since the observer first saw the stage lag is therefore
// an upper bound. If the observer has not run since the WAL was written, for instance because its
// walsender is stopped, the bound is the time of the last sample that did not yet have this WAL.
#include "src/monitoring/snapshot.h"

namespace neon_redo {

static bool ReadWalsender(int index, Walsender* out) {
  WalSnd* slot = &WalSndCtl->walsnds[index];
  SpinLockAcquire(&slot->mutex);
  out->pid = slot->pid;
  out->state = slot->state;
  out->sent = slot->sentPtr;
  out->reached[kWrite] = slot->write;
  out->reached[kFlush] = slot->flush;
  out->reached[kReplay] = slot->apply;
  out->measured_lag[kWrite] = slot->writeLag;
  out->measured_lag[kFlush] = slot->flushLag;
  out->measured_lag[kReplay] = slot->applyLag;
  out->sync_priority = slot->sync_standby_priority;
  out->reply_time = slot->replyTime;
  SpinLockRelease(&slot->mutex);
  out->index = index;
  return out->pid != 0;
}

static void ReadObservation(Walsender* out) {
  out->observed = false;
  Shared* shared = SharedOrNull();
  if (shared == nullptr) return;
  WalsenderShared* entry = &shared->walsenders[out->index];
  SpinLockAcquire(&entry->mutex);
  out->observation = entry->observation;
  SpinLockRelease(&entry->mutex);
  out->observed = out->observation.pid == out->pid;
}

int ReadWalsenders(Walsender* out) {
  int count = 0;
  for (int i = 0; i < max_wal_senders; i++) {
    if (!ReadWalsender(i, &out[count])) continue;
    ReadObservation(&out[count]);
    count++;
  }
  return count;
}

// The array from which pg_stat_activity reads, found by its name in the server's index of shared
// memory (CreateSharedBackendStatus in utils/activity/backend_status.c). The server's own functions
// copy every session with its query text, once in a transaction. That is too slow for 64 walsenders
// in 100 microseconds, and out of date when called again.
static PgBackendStatus* BackendStatusArray(int* count) {
  static PgBackendStatus* array = nullptr;
  *count = MaxBackends + kAuxiliaryProcesses;
  bool found = true;
  if (array == nullptr)
    array = static_cast<PgBackendStatus*>(
        ShmemInitStruct("Backend Status Array", mul_size(sizeof(PgBackendStatus), *count), &found));
  Assert(found);
  return array;
}

// Follows the readers' protocol of utils/backend_status.h: an entry that changed during the copy is
// read again.
static bool ReadBackend(volatile PgBackendStatus* shared, WalsenderBackend* out) {
  for (;;) {
    int before = 0;
    int after = 0;
    pgstat_begin_read_activity(shared, before);
    auto* entry = const_cast<PgBackendStatus*>(shared);
    const bool wanted = shared->st_procpid > 0 && shared->st_backendType == B_WAL_SENDER;
    if (wanted) {
      out->pid = entry->st_procpid;
      out->user = entry->st_userid;
      out->database = entry->st_databaseid;
      out->start = entry->st_proc_start_timestamp;
      out->client = entry->st_clientaddr;
      strlcpy(out->application_name, entry->st_appname, NAMEDATALEN);
      strlcpy(out->client_hostname, entry->st_clienthostname, NAMEDATALEN);
    }
    pgstat_end_read_activity(shared, after);
    if (pgstat_read_activity_complete(before, after)) return wanted;
    CHECK_FOR_INTERRUPTS();
  }
}

int ReadWalsenderBackends(WalsenderBackend* out) {
  int entries = 0;
  PgBackendStatus* array = BackendStatusArray(&entries);
  int count = 0;
  for (int i = 0; i < entries && count < max_wal_senders; i++)
    if (ReadBackend(&array[i], &out[count])) count++;
  return count;
}

const WalsenderBackend* FindBackend(const WalsenderBackend* backends, int count, pid_t pid) {
  for (int i = 0; i < count; i++)
    if (backends[i].pid == pid) return &backends[i];
  return nullptr;
}

int ReadSlots(Slot* out) {
  int count = 0;
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; i++) {
    ReplicationSlot* slot = &ReplicationSlotCtl->replication_slots[i];
    if (!slot->in_use) continue;
    SpinLockAcquire(&slot->mutex);
    out[count].name = slot->data.name;
    out[count].database = slot->data.database;
    out[count].active_pid = ActivePid(*slot);
    out[count].restart_lsn = slot->data.restart_lsn;
    out[count].is_invalidated = IsInvalidated(*slot);
    SpinLockRelease(&slot->mutex);
    count++;
  }
  LWLockRelease(ReplicationSlotControlLock);
  return count;
}

// As pg_get_replication_slots: WAL about to be removed is not lost while a process uses the slot.
const char* SlotWalStatus(const Slot& slot) {
  switch (slot.is_invalidated ? WALAVAIL_REMOVED : GetWALAvailability(slot.restart_lsn)) {
    case WALAVAIL_RESERVED:
      return "reserved";
    case WALAVAIL_EXTENDED:
      return "extended";
    case WALAVAIL_UNRESERVED:
      return "unreserved";
    case WALAVAIL_REMOVED:
      return slot.active_pid != 0 ? "unreserved" : "lost";
    case WALAVAIL_INVALID_LSN:
      break;
  }
  return "lost";
}

bool SafeWalSize(const Slot& slot, XLogRecPtr end, int64* bytes) {
  if (max_slot_wal_keep_size_mb < 0 || strcmp(SlotWalStatus(slot), "lost") == 0) return false;
  const uint64 megabyte = 1024 * 1024;
  const uint64 kept = megabyte * Max(max_slot_wal_keep_size_mb, wal_keep_size_mb);
  // Segments are kept and removed whole. The slot fails at the one after the last that is kept.
  const XLogSegNo failing = slot.restart_lsn / wal_segment_size + kept / wal_segment_size + 1;
  *bytes = static_cast<int64>(failing * wal_segment_size) - static_cast<int64>(end);
  return true;
}

const char* StateName(WalSndState state) {
  static const char* const names[] = {"startup", "backup", "catchup", "streaming", "stopping"};
  return names[state];
}

XLogRecPtr EndOfWal() {
  if (!RecoveryInProgress()) return GetFlushRecPtr(nullptr);
  // As GetStandbyFlushRecPtr in replication/walsender.c.
  TimeLineID received_timeline = 0;
  TimeLineID replayed_timeline = 0;
  const XLogRecPtr received = GetWalRcvFlushRecPtr(nullptr, &received_timeline);
  const XLogRecPtr replayed = GetXLogReplayRecPtr(&replayed_timeline);
  return received_timeline == replayed_timeline ? Max(received, replayed) : replayed;
}

int64 BytesBehind(XLogRecPtr position, XLogRecPtr end) {
  return position < end ? static_cast<int64>(end - position) : 0;
}

Stage ConfirmedStage(const XLogRecPtr* reached) {
  return XLogRecPtrIsInvalid(reached[kReplay]) ? kWrite : kReplay;
}

TimestampTz LastReply(const Walsender& walsender) {
  return walsender.observed ? walsender.observation.reply_received : walsender.reply_time;
}

// The last time the sampler saw the end of WAL at or before lsn; 0 means unknown.
static TimestampTz LastTimeEndedAt(XLogRecPtr lsn) {
  Shared* shared = SharedOrNull();
  TimestampTz time = 0;
  LWLockAcquire(shared->lock, LW_SHARED);
  const uint64 oldest = shared->sampled > kSamples ? shared->sampled - kSamples : 0;
  for (uint64 i = shared->sampled; i > oldest && time == 0; i--) {
    const EndOfWalSample& sample = shared->end_of_wal[(i - 1) % kSamples];
    if (sample.end_of_wal <= lsn) time = sample.time;
  }
  LWLockRelease(shared->lock);
  return time;
}

int64 Lag(const Walsender& walsender, Stage stage, XLogRecPtr end, TimestampTz now) {
  const XLogRecPtr reached = walsender.reached[stage];
  if (XLogRecPtrIsInvalid(reached) || reached >= end) return -1;
  const int64 reply_age = Max(now - LastReply(walsender), 0);
  const int64 lag = Max(walsender.measured_lag[stage], 0) + reply_age;
  if (!walsender.observed) return lag;
  TimestampTz since = walsender.observation.behind_since[stage];
  if (since == 0) since = LastTimeEndedAt(reached);
  return since == 0 ? lag : Min(lag, Max(now - since, 0));
}

}  // namespace neon_redo

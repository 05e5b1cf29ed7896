// neon_stat_wal_senders(), which returns a row for each active walsender, neon_oldest_sent_lsn()
// and neon_oldest_flush_lsn(). A call copies everything out of shared memory, then joins and
// formats it.
#include "src/monitoring/row.h"
#include "src/monitoring/snapshot.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace neon_redo {

// In the order of the function's OUT parameters (sql/neon_redo--1.0--1.1.sql).
enum {
  kPid,
  kKind,
  kApplicationName,
  kUseSysId,
  kUseName,
  kClientAddr,
  kClientHostname,
  kClientPort,
  kBackendStart,
  kState,
  kSentLsn,
  kWriteLsn,
  kFlushLsn,
  kReplayLsn,
  kWriteLag,
  kFlushLag,
  kReplayLag,
  kSentBytesBehind,
  kWriteBytesBehind,
  kFlushBytesBehind,
  kReplayBytesBehind,
  kSyncPriority,
  kSyncState,
  kReplyTime,
  kReplyAge,
  kSlotName,
  kSlotWalStatus,
  kSlotRetainedBytes,
  kSlotSafeWalSize,
  kCaughtUp,
  kColumns
};

using StatRow = Row<kColumns>;

// Everything that one call reads.
struct Snapshot {
  Walsender* walsenders;
  int walsender_count;
  WalsenderBackend* backends;
  int backend_count;
  Slot* slots;
  int slot_count;
  SyncRepStandbyData* sync_standbys;
  int sync_standby_count;
  XLogRecPtr end_of_wal;
  TimestampTz now;
};

static Snapshot TakeSnapshot() {
  Snapshot snapshot = {};
  snapshot.walsenders = static_cast<Walsender*>(palloc(max_wal_senders * sizeof(Walsender)));
  snapshot.backends =
      static_cast<WalsenderBackend*>(palloc(max_wal_senders * sizeof(WalsenderBackend)));
  snapshot.slots = static_cast<Slot*>(palloc(max_replication_slots * sizeof(Slot)));
  snapshot.sync_standby_count = SyncRepGetCandidateStandbys(&snapshot.sync_standbys);
  snapshot.walsender_count = ReadWalsenders(snapshot.walsenders);
  snapshot.backend_count = ReadWalsenderBackends(snapshot.backends);
  snapshot.slot_count = ReadSlots(snapshot.slots);
  // Read last, so that no position is after it.
  snapshot.end_of_wal = EndOfWal();
  snapshot.now = GetCurrentTimestamp();
  return snapshot;
}

static const Slot* FindSlot(const Snapshot& snapshot, pid_t pid) {
  for (int i = 0; i < snapshot.slot_count; i++)
    if (snapshot.slots[i].active_pid == pid) return &snapshot.slots[i];
  return nullptr;
}

static bool IsSynchronous(const Snapshot& snapshot, const Walsender& walsender) {
  for (int i = 0; i < snapshot.sync_standby_count; i++) {
    const SyncRepStandbyData& standby = snapshot.sync_standbys[i];
    if (standby.walsnd_index == walsender.index && standby.pid == walsender.pid) return true;
  }
  return false;
}

// The slot determines the kind. A walsender without a slot can only stream physical WAL. Before it
// streams, a connection to a database (replication=database) shows that it is logical.
static const char* Kind(const Walsender& walsender, const Slot* slot,
                        const WalsenderBackend* backend) {
  const bool has_database = backend != nullptr && OidIsValid(backend->database);
  if (slot != nullptr) return OidIsValid(slot->database) ? "logical" : "physical";
  return walsender.state == WALSNDSTATE_STARTUP && has_database ? "logical" : "physical";
}

// Builds the value without a text form, unlike inet_in(), because this runs for each row.
static Datum InetDatum(int family, const void* address) {
  inet* result = static_cast<inet*>(palloc0(sizeof(inet)));
  ip_family(result) = family == AF_INET ? PGSQL_AF_INET : PGSQL_AF_INET6;
  ip_bits(result) = ip_maxbits(result);
  memcpy(ip_addr(result), address, ip_addrsize(result));
  SET_INET_VARSIZE(result);
  return InetPGetDatum(result);
}

// As in pg_stat_activity, a Unix socket has no address and port -1.
static void SetClient(StatRow* row, const WalsenderBackend& backend) {
  const sockaddr_storage& address = backend.client.addr;
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  if (address.ss_family == AF_INET) {
    row->Set(kClientAddr, InetDatum(AF_INET, &v4->sin_addr));
    row->Set(kClientPort, Int32GetDatum(ntohs(v4->sin_port)));
  } else if (address.ss_family == AF_INET6) {
    row->Set(kClientAddr, InetDatum(AF_INET6, &v6->sin6_addr));
    row->Set(kClientPort, Int32GetDatum(ntohs(v6->sin6_port)));
  } else if (address.ss_family == AF_UNIX) {
    row->Set(kClientPort, Int32GetDatum(-1));
  }
  if (backend.client_hostname[0] != '\0') row->SetText(kClientHostname, backend.client_hostname);
}

static void SetBackend(StatRow* row, const WalsenderBackend& backend) {
  row->SetText(kApplicationName, backend.application_name);
  row->Set(kUseSysId, ObjectIdGetDatum(backend.user));
  if (const char* name = GetUserNameFromId(backend.user, true)) {
    Name user = static_cast<Name>(palloc(NAMEDATALEN));
    namestrcpy(user, name);
    row->Set(kUseName, NameGetDatum(user));
  }
  row->SetTime(kBackendStart, backend.start);
  SetClient(row, backend);
}

// Relies on the columns of each group being in the order of the stages.
static void SetProgress(StatRow* row, const Snapshot& snapshot, const Walsender& walsender) {
  row->SetLsn(kSentLsn, walsender.sent);
  if (!XLogRecPtrIsInvalid(walsender.sent))
    row->SetInt64(kSentBytesBehind, BytesBehind(walsender.sent, snapshot.end_of_wal));
  for (int i = 0; i < kStages; i++) {
    const XLogRecPtr reached = walsender.reached[i];
    if (XLogRecPtrIsInvalid(reached)) continue;
    row->SetLsn(kWriteLsn + i, reached);
    row->SetInterval(kWriteLag + i,
                     Lag(walsender, static_cast<Stage>(i), snapshot.end_of_wal, snapshot.now));
    row->SetInt64(kWriteBytesBehind + i, BytesBehind(reached, snapshot.end_of_wal));
  }
  const XLogRecPtr confirmed = Confirmed(walsender.reached);
  if (!XLogRecPtrIsInvalid(confirmed))
    row->Set(kCaughtUp, BoolGetDatum(confirmed >= snapshot.end_of_wal));
  row->SetTime(kReplyTime, walsender.reply_time);
  if (const TimestampTz reply = LastReply(walsender))
    row->SetInterval(kReplyAge, Max(snapshot.now - reply, 0));
}

// As pg_stat_get_wal_senders: a client that reports no flush position cannot be synchronous.
static void SetSync(StatRow* row, const Snapshot& snapshot, const Walsender& walsender) {
  const int priority = XLogRecPtrIsInvalid(walsender.reached[kFlush]) ? 0 : walsender.sync_priority;
  const char* state = "async";
  if (priority != 0) {
    state = "potential";
    if (IsSynchronous(snapshot, walsender))
      state = SyncRepConfig->syncrep_method == SYNC_REP_PRIORITY ? "sync" : "quorum";
  }
  row->Set(kSyncPriority, Int32GetDatum(priority));
  row->SetText(kSyncState, state);
}

static void SetSlot(StatRow* row, const Snapshot& snapshot, const Slot& slot) {
  row->Set(kSlotName, NameGetDatum(&slot.name));
  if (XLogRecPtrIsInvalid(slot.restart_lsn)) return;
  row->SetText(kSlotWalStatus, SlotWalStatus(slot));
  row->SetInt64(kSlotRetainedBytes, BytesBehind(slot.restart_lsn, snapshot.end_of_wal));
  int64 safe = 0;
  if (SafeWalSize(slot, snapshot.end_of_wal, &safe)) row->SetInt64(kSlotSafeWalSize, safe);
}

static void FillRow(StatRow* row, const Snapshot& snapshot, const Walsender& walsender) {
  const Slot* slot = FindSlot(snapshot, walsender.pid);
  const WalsenderBackend* backend =
      FindBackend(snapshot.backends, snapshot.backend_count, walsender.pid);
  row->SetText(kKind, Kind(walsender, slot, backend));
  row->SetText(kState, StateName(walsender.state));
  if (backend != nullptr) SetBackend(row, *backend);
  SetProgress(row, snapshot, walsender);
  SetSync(row, snapshot, walsender);
  if (slot != nullptr) SetSlot(row, snapshot, *slot);
}

static void PutWalsenders(ReturnSetInfo* result) {
  const Snapshot snapshot = TakeSnapshot();
  const bool may_see_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
  for (int i = 0; i < snapshot.walsender_count; i++) {
    StatRow row;
    row.Clear();
    row.Set(kPid, Int32GetDatum(snapshot.walsenders[i].pid));
    if (may_see_all) FillRow(&row, snapshot, snapshot.walsenders[i]);
    row.Put(result);
  }
}

// The smaller valid position, or InvalidXLogRecPtr if both are invalid.
static XLogRecPtr Older(XLogRecPtr a, XLogRecPtr b) {
  if (XLogRecPtrIsInvalid(a)) return b;
  return XLogRecPtrIsInvalid(b) ? a : Min(a, b);
}

static Datum LsnOrNull(XLogRecPtr lsn, FunctionCallInfo fcinfo) {
  if (XLogRecPtrIsInvalid(lsn)) PG_RETURN_NULL();
  PG_RETURN_LSN(lsn);
}

}  // namespace neon_redo

#pragma GCC visibility push(default)
extern "C" {
PG_FUNCTION_INFO_V1(neon_stat_wal_senders);
PG_FUNCTION_INFO_V1(neon_oldest_sent_lsn);
PG_FUNCTION_INFO_V1(neon_oldest_flush_lsn);

Datum neon_stat_wal_senders(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  core::PutWalsenders(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  return Datum(0);
}

Datum neon_oldest_sent_lsn(PG_FUNCTION_ARGS) {
  core::Walsender* walsenders =
      static_cast<core::Walsender*>(palloc(max_wal_senders * sizeof(core::Walsender)));
  XLogRecPtr oldest = InvalidXLogRecPtr;
  for (int i = core::ReadWalsenders(walsenders); i-- > 0;)
    oldest = core::Older(oldest, walsenders[i].sent);
  return core::LsnOrNull(oldest, fcinfo);
}

Datum neon_oldest_flush_lsn(PG_FUNCTION_ARGS) {
  core::Walsender* walsenders =
      static_cast<core::Walsender*>(palloc(max_wal_senders * sizeof(core::Walsender)));
  XLogRecPtr oldest = InvalidXLogRecPtr;
  for (int i = core::ReadWalsenders(walsenders); i-- > 0;)
    oldest = core::Older(oldest, walsenders[i].reached[core::kFlush]);
  return core::LsnOrNull(oldest, fcinfo);
}
}
#pragma GCC visibility pop

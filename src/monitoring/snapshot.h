// The server's walsenders and replication slots, copied out of shared memory. Each spinlock is held
// for one copy only, and nothing is formatted here.
#ifndef NEON_REDO_SRC_MONITORING_SNAPSHOT_H_
#define NEON_REDO_SRC_MONITORING_SNAPSHOT_H_

#include "src/monitoring/shared.h"

namespace neon_redo {

struct Walsender {
  int index;  // of its slot in WalSndCtl->walsnds
  pid_t pid;
  WalSndState state;
  XLogRecPtr sent;  // 0: not reported; the same for reached
  XLogRecPtr reached[kStages];
  TimeOffset measured_lag[kStages];  // by the server, in microseconds; -1: none
  int sync_priority;
  TimestampTz reply_time;  // by the standby's clock; 0: no reply yet
  bool observed;           // whether observation is valid
  Observation observation;
};

struct Slot {
  NameData name;
  Oid database;  // InvalidOid: a physical slot
  pid_t active_pid;
  XLogRecPtr restart_lsn;
  bool is_invalidated;  // although it has a restart_lsn
};

// A walsender process as pg_stat_activity shows it.
struct WalsenderBackend {
  pid_t pid;
  Oid user;
  Oid database;  // InvalidOid: none
  TimestampTz start;
  SockAddr client;
  char application_name[NAMEDATALEN];
  char client_hostname[NAMEDATALEN];
};

// Copies the active walsenders to out, which has room for max_wal_senders. Returns their number.
int ReadWalsenders(Walsender* out);

// Copies the walsender processes to out, which has room for max_wal_senders. Returns their number.
// May raise an error when the query is cancelled.
int ReadWalsenderBackends(WalsenderBackend* out);

// Null if the process is not among backends, because it has just started or ended.
const WalsenderBackend* FindBackend(const WalsenderBackend* backends, int count, pid_t pid);

// Copies the existing slots to out, which has room for max_replication_slots. Returns their number.
int ReadSlots(Slot* out);

// The slot's wal_status as in pg_replication_slots. The slot must have a restart_lsn.
const char* SlotWalStatus(const Slot& slot);

// Sets *bytes to the WAL that may still be written before the slot may lose WAL
// (pg_replication_slots.safe_wal_size). Returns false if max_slot_wal_keep_size sets no limit, or
// if the WAL is lost already.
bool SafeWalSize(const Slot& slot, XLogRecPtr end, int64* bytes);

// The state as in pg_stat_replication: "startup", "backup" and so on.
const char* StateName(WalSndState state);

// The end of the WAL that a walsender may send: on a primary the flushed WAL, on a standby the
// received and replayed WAL. WAL after this LSN counts for no walsender's lag.
XLogRecPtr EndOfWal();

// The bytes from position to end; 0 if position has reached end.
int64 BytesBehind(XLogRecPtr position, XLogRecPtr end);

// The stage that confirms receipt: replay, or write for a client that never replays. Flush is not
// used, because pg_receivewal flushes only at the end of a segment.
Stage ConfirmedStage(const XLogRecPtr* reached);

// The position of that stage, or InvalidXLogRecPtr if the client has reported none.
inline XLogRecPtr Confirmed(const XLogRecPtr* reached) { return reached[ConfirmedStage(reached)]; }

// The time at which the last reply arrived; 0 before the first.
TimestampTz LastReply(const Walsender& walsender);

// The age of the oldest WAL that the standby lacks, in microseconds. -1 if the standby lacks none
// or has not reported the stage. Takes Shared::lock, which the caller must not hold.
int64 Lag(const Walsender& walsender, Stage stage, XLogRecPtr end, TimestampTz now);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_SNAPSHOT_H_

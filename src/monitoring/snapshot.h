// What the server knows of its walsenders and replication slots, copied out of shared memory: each
// spinlock is held for the length of a copy, and nothing is formatted here.
#ifndef NEON_REDO_SRC_MONITORING_SNAPSHOT_H_
#define NEON_REDO_SRC_MONITORING_SNAPSHOT_H_

#include "src/monitoring/shared.h"

namespace neon_redo {

struct Walsender {
  int index;  // of the walsender's slot in WalSndCtl
  pid_t pid;
  WalSndState state;
  XLogRecPtr sent;  // 0: not reported, here and below
  XLogRecPtr reached[kStages];
  TimeOffset measured_lag[kStages];  // as the server measures it; microseconds, -1: none
  int sync_priority;
  TimestampTz reply_time;  // by the standby's clock; 0: no reply yet
  bool observed;           // whether observation is filled in
  Observation observation;
};

struct Slot {
  NameData name;
  Oid database;  // InvalidOid: a physical slot
  pid_t active_pid;
  XLogRecPtr restart_lsn;
};

// A walsender process as pg_stat_activity knows it.
struct WalsenderBackend {
  pid_t pid;
  Oid user;
  Oid database;  // InvalidOid: none
  TimestampTz start;
  SockAddr client;
  char application_name[NAMEDATALEN];
  char client_hostname[NAMEDATALEN];
};

// Copies the active walsenders to out, which has room for max_wal_senders; returns how many.
int ReadWalsenders(Walsender* out);

// Copies the walsender processes to out, which has room for max_wal_senders; returns how many. May
// be interrupted by an error.
int ReadWalsenderBackends(WalsenderBackend* out);

// Null when the process is not among them: it has just started, or ended.
const WalsenderBackend* FindBackend(const WalsenderBackend* backends, int count, pid_t pid);

// Copies the existing slots to out, which has room for max_replication_slots; returns how many.
int ReadSlots(Slot* out);

// Whether the slot's WAL is there, in the words of pg_replication_slots.wal_status. The slot must
// have a restart_lsn.
const char* SlotWalStatus(const Slot& slot);

// Bytes that may still be written before the slot may lose WAL
// (pg_replication_slots.safe_wal_size). False: there is no limit (max_slot_wal_keep_size) or the
// WAL is lost already.
bool SafeWalSize(const Slot& slot, XLogRecPtr end, int64* bytes);

// "startup" and so on, as pg_stat_replication.state.
const char* StateName(WalSndState state);

// The end of the WAL that a walsender may send: flushed here, or received and replayed here on a
// standby. A walsender never sends more, so what lies past it is nobody's lag.
XLogRecPtr EndOfWal();

// 0 when position has reached end.
int64 BytesBehind(XLogRecPtr position, XLogRecPtr end);

// The stage that says "has it": replay, or write for a client that never replays. Not flush:
// pg_receivewal flushes at the end of a segment only.
Stage ConfirmedStage(const XLogRecPtr* reached);

// The position of that stage; InvalidXLogRecPtr: the client has reported nothing.
inline XLogRecPtr Confirmed(const XLogRecPtr* reached) { return reached[ConfirmedStage(reached)]; }

// When the last reply arrived; 0: none yet.
TimestampTz LastReply(const Walsender& walsender);

// How long the oldest WAL that the standby lacks has been there, in microseconds. -1: it lacks
// none, or has not reported the stage. Takes the lock of the samples: the caller must not hold it.
int64 Lag(const Walsender& walsender, Stage stage, XLogRecPtr end, TimestampTz now);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_SNAPSHOT_H_

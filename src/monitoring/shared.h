// The shared memory of the walsender statistics. There only when the module is in
// shared_preload_libraries; everything that can do without it does (HaveShared()).
#ifndef NEON_REDO_SRC_MONITORING_SHARED_H_
#define NEON_REDO_SRC_MONITORING_SHARED_H_

#include "src/monitoring/server.h"

namespace neon_redo {

inline constexpr int kHistorySeconds = 600;
inline constexpr int kMinIntervalMs = 1000;
inline constexpr int kSamples = kHistorySeconds * 1000 / kMinIntervalMs;

// How far a standby has come with what it was sent; index of SyncRepWait modes too.
enum Stage { kWrite, kFlush, kReplay, kStages };

// What a walsender notes of itself (observer.h). Protected by WalsenderShared::mutex.
struct Observation {
  pid_t pid;                   // of the walsender that wrote this; the slot may have a new owner
  TimestampTz reply_received;  // by this server's clock; 0 before the first reply
  TimestampTz behind_since[kStages];  // 0: not behind
};

// One look of the sampler at one walsender. Times are of this server's clock.
struct Sample {
  TimestampTz time;
  pid_t pid;
  WalSndState state;
  XLogRecPtr sent;
  XLogRecPtr reached[kStages];  // 0: not reported
  XLogRecPtr end_of_wal;
  int64 lag;  // microseconds; -1: none
  char application_name[NAMEDATALEN];
};

// For each of the server's max_wal_senders slots.
struct WalsenderShared {
  slock_t mutex;  // for observation
  Observation observation;
  uint64 sampled;  // samples ever taken; the last of them is at (sampled - 1) % kSamples
  Sample samples[kSamples];
};

struct EndOfWalSample {
  TimestampTz time;
  XLogRecPtr end_of_wal;
};

// For each of the server's max_replication_slots slots: since when nobody has used it, as far as
// the sampler saw. inactive_since 0: in use.
struct SlotNote {
  NameData name;
  TimestampTz inactive_since;
};

struct Shared {
  LWLock* lock;               // for all samples and slot notes; the sampler writes
  ConditionVariable replied;  // broadcast by a walsender whose standby has moved on or gone
  uint64 sampled;             // as in WalsenderShared, of end_of_wal
  EndOfWalSample end_of_wal[kSamples];
  SlotNote* slots;              // [max_replication_slots]
  WalsenderShared* walsenders;  // [max_wal_senders]
};

// neon.walsender_sample_interval in milliseconds; 0: no samples.
extern int walsender_sample_interval;

// Null when the module was not preloaded.
Shared* SharedOrNull();

// The same; raises an error that names the SQL function when the module was not preloaded.
Shared* SharedFor(const char* function);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_SHARED_H_

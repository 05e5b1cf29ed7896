// The shared memory of the walsender statistics. It exists only if the module is in
// shared_preload_libraries. Functions that do not depend on it work without it (SharedOrNull).
#ifndef NEON_REDO_SRC_MONITORING_SHARED_H_
#define NEON_REDO_SRC_MONITORING_SHARED_H_

#include "src/monitoring/server.h"

namespace neon_redo {

inline constexpr int kHistorySeconds = 600;
inline constexpr int kMinIntervalMs = 1000;
inline constexpr int kSamples = kHistorySeconds * 1000 / kMinIntervalMs;

// What a standby has done with WAL it received. The values are also those of SYNC_REP_WAIT_WRITE,
// _FLUSH and _APPLY (replication/syncrep.h).
enum Stage { kWrite, kFlush, kReplay, kStages };

// What a walsender records about itself (observer.h). Protected by WalsenderShared::mutex.
struct Observation {
  pid_t pid;                   // of the walsender that wrote this; a new one may own the slot now
  TimestampTz reply_received;  // by this server's clock; 0 before the first reply
  TimestampTz behind_since[kStages];  // 0: not behind
};

// One sample of one walsender. Times are those of this server's clock.
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

// One for each of the server's max_wal_senders walsender slots.
struct WalsenderShared {
  slock_t mutex;  // protects observation
  Observation observation;
  uint64 sampled;  // number of samples ever taken; the last is at (sampled - 1) % kSamples
  Sample samples[kSamples];
};

struct EndOfWalSample {
  TimestampTz time;
  XLogRecPtr end_of_wal;
};

// One for each of the server's max_replication_slots slots: since when the sampler has seen no
// process use it. inactive_since is 0 while the slot is in use.
struct SlotNote {
  NameData name;
  TimestampTz inactive_since;
};

struct Shared {
  LWLock* lock;               // protects all samples and slots; the sampler writes them
  ConditionVariable replied;  // broadcast when a standby reports progress or disconnects
  uint64 sampled;             // as in WalsenderShared, for end_of_wal
  EndOfWalSample end_of_wal[kSamples];
  SlotNote* slots;              // [max_replication_slots]
  WalsenderShared* walsenders;  // [max_wal_senders]
};

// neon.walsender_sample_interval in milliseconds; 0: no samples.
extern int walsender_sample_interval;

// Null if the module was not preloaded.
Shared* SharedOrNull();

// The same, but raises an error that names the SQL function if the module was not preloaded.
Shared* SharedFor(const char* function);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_SHARED_H_

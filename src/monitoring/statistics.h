// Statistics of the server's walsenders, in SQL (docs/monitoring.md). Reading order:
//   snapshot.*     what the server knows of each walsender and slot, copied out of shared memory
//   shared.*       the module's own shared memory, when it is preloaded
//   observer.*     runs in each walsender: when its standby replied and since when it is behind
//   sampler.cpp    background worker: fills the history
//   stat_wal_senders.cpp, history.cpp, slots.cpp, wait.cpp   the SQL functions
#ifndef NEON_REDO_SRC_MONITORING_STATISTICS_H_
#define NEON_REDO_SRC_MONITORING_STATISTICS_H_

namespace neon_redo {

// From _PG_init of a preloaded module in an ordinary server: settings, hooks, the sampler.
void InitWalsenderStatistics();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_STATISTICS_H_

// Statistics of the server's walsenders, in SQL (docs/monitoring.md). Reading order:
//   snapshot.*     the server's state of each walsender and slot, copied out of shared memory
//   shared.*       the module's own shared memory, which exists if the module is preloaded
//   observer.*     runs in each walsender: when its standby replied, and since when it lags
//   sampler.cpp    the background worker that fills the history
//   stat_wal_senders.cpp, history.cpp, slots.cpp, wait.cpp   the SQL functions
#ifndef NEON_REDO_SRC_MONITORING_STATISTICS_H_
#define NEON_REDO_SRC_MONITORING_STATISTICS_H_

namespace neon_redo {

// Defines the settings, installs the hooks and registers the sampler. Called by _PG_init of a
// preloaded module in an ordinary server.
void InitWalsenderStatistics();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_STATISTICS_H_

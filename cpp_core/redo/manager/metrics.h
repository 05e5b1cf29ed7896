// A manager's metrics for Prometheus, with the names and buckets that operators of Neon's page server
// know. Metrics that server does not have are named in the same manner.
#ifndef NEON_REDO_REDO_MANAGER_METRICS_H_
#define NEON_REDO_REDO_MANAGER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <array>
#include <chrono>
#include <memory>

#include "cpp_core/metrics/registry.h"
#include "neon_redo/error.h"
#include "neon_redo/manager.h"

namespace neon_redo {

// Thread-safe. Those of several managers that share a registry add up.
class RedoMetrics {
 public:
  using Seconds = std::chrono::duration<double>;

  explicit RedoMetrics(std::shared_ptr<MetricsRegistry> metrics);

  // A worker answered the ping after its launch; a worker's process is gone.
  void WorkerStarted(Seconds launch);
  void WorkerStopped(const char* cause);  // "idle", "failure", "shutdown"

  void RequestStarted() { requests_.Increment(); }
  // wait: for a worker to begin; native: in this process; worker: until the answer was there.
  void RequestDone(Seconds total, Seconds wait, Seconds native, Seconds worker, size_t records,
                   size_t bytes);
  void RequestFailed(ErrorCode code);
  void RecordsWent(RecordWay way, uint64_t n) {
    ways_[static_cast<size_t>(way)]->Increment(static_cast<double>(n));
  }
  void Retried() { retries_.Increment(); }

 private:
  const std::shared_ptr<MetricsRegistry> shared_;
  prometheus::Registry* const registry_;
  prometheus::Family<prometheus::Counter>& stopped_;
  prometheus::Family<prometheus::Counter>& failed_;
  prometheus::Histogram& total_;
  prometheus::Histogram& wait_;
  prometheus::Histogram& native_;
  prometheus::Histogram& worker_;
  prometheus::Histogram& records_;
  prometheus::Histogram& bytes_;
  prometheus::Histogram& launch_;
  prometheus::Counter& replayed_;
  std::array<prometheus::Counter*, kRecordWays> ways_;
  prometheus::Counter& started_;
  prometheus::Counter& retries_;
  prometheus::Gauge& active_;
  prometheus::Gauge& requests_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_METRICS_H_

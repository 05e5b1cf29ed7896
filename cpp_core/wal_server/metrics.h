// A WAL sender's metrics for Prometheus.
#ifndef NEON_REDO_WAL_SERVER_METRICS_H_
#define NEON_REDO_WAL_SERVER_METRICS_H_

#include <prometheus/family.h>
#include <prometheus/gauge.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cpp_core/metrics/registry.h"
#include "cpp_core/wal_server/session.h"
#include "neon_redo/error.h"

namespace neon_redo {

// A gauge for each client and figure, as of the last Update. Not thread-safe itself; Prometheus is
// answered by the exposer's threads.
class WalServerMetrics {
 public:
  // Errors are MetricsExposer's.
  static Result<std::unique_ptr<WalServerMetrics>> Open(const std::string& address);

  void Update(const std::vector<const Session*>& sessions, const WalSource& source,
              Session::Clock::time_point now);

 private:
  using Gauges = prometheus::Family<prometheus::Gauge>;

  std::unique_ptr<MetricsExposer> exposer_;
  prometheus::Gauge* end_ = nullptr;
  prometheus::Gauge* clients_ = nullptr;
  std::vector<Gauges*> families_;  // in the order of the values in metrics.cpp
  std::map<uint32_t, std::vector<prometheus::Gauge*>> of_session_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_METRICS_H_

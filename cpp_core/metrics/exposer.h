// Metrics over HTTP, for Prometheus to fetch.
#ifndef NEON_REDO_METRICS_EXPOSER_H_
#define NEON_REDO_METRICS_EXPOSER_H_

#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "neon_redo/error.h"

namespace prometheus {
class Exposer;
}

namespace neon_redo {

// Serves http://ADDRESS/metrics from threads of its own until it is destroyed. Whoever can connect
// can read: there is neither encryption nor a password, so the host defaults to the loopback.
class MetricsExposer {
 public:
  // address: PORT, or HOST:PORT with a numeric host ("0.0.0.0:9187", "[::1]:9187"). Port 0 is any
  // free one. kInvalidArgument: not an address. kIo: it cannot be listened on.
  static Result<std::unique_ptr<MetricsExposer>> Open(const std::string& address);
  ~MetricsExposer();

  // Metrics made in here are served. Thread-safe.
  prometheus::Registry& registry() { return *registry_; }
  int port() const;

 private:
  MetricsExposer() = default;

  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_METRICS_EXPOSER_H_

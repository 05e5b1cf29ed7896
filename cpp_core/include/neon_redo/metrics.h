// Metrics for Prometheus: a registry that parts of the library write to, and an HTTP server that
// shows it. docs/monitoring.md has the names.
//
//   auto registry = std::make_shared<neon_redo::MetricsRegistry>();
//   neon_redo::ManagerOptions options;
//   options.metrics = registry;
//   neon_redo::RedoManager manager(options);
//   auto exposer = neon_redo::MetricsExposer::Open("127.0.0.1:9187", registry);
#ifndef NEON_REDO_METRICS_H_
#define NEON_REDO_METRICS_H_

#include <memory>
#include <string>

#include "neon_redo/error.h"

namespace neon_redo {

// A set of metrics. Thread-safe. Objects of the library that write to a registry share its
// ownership; several managers may share one registry, and their counts add up.
class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // All metrics in Prometheus' text format 0.0.4, for a program that has an HTTP server of its own.
  std::string ToText() const;

  // For the library itself.
  class Impl;
  Impl& impl() const { return *impl_; }

 private:
  const std::unique_ptr<Impl> impl_;
};

// Serves http://ADDRESS/metrics from threads of its own until it is destroyed. There is neither
// encryption nor a password, so every client that can connect can read the metrics. Not
// thread-safe.
class MetricsExposer {
 public:
  // address: PORT, or HOST:PORT with a numeric host ("0.0.0.0:9187", "[::1]:9187"). Without a host
  // it is 127.0.0.1; port 0 is any free one. registry: null makes a new one.
  // kInvalidArgument: address is not an address. kIo: the server could not listen on it.
  static Result<std::unique_ptr<MetricsExposer>> Open(
      const std::string& address, std::shared_ptr<MetricsRegistry> registry = nullptr);
  ~MetricsExposer();
  MetricsExposer(const MetricsExposer&) = delete;
  MetricsExposer& operator=(const MetricsExposer&) = delete;

  // The registry whose metrics are served.
  const std::shared_ptr<MetricsRegistry>& registry() const;
  // The TCP port that the server listens on.
  int port() const;

 private:
  class Impl;
  explicit MetricsExposer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_METRICS_H_

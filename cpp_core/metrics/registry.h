// What a MetricsRegistry (neon_redo/metrics.h) is inside: a registry of prometheus-cpp.
#ifndef NEON_REDO_METRICS_REGISTRY_H_
#define NEON_REDO_METRICS_REGISTRY_H_

#include <prometheus/registry.h>

#include <memory>

#include "neon_redo/metrics.h"

namespace neon_redo {

class MetricsRegistry::Impl {
 public:
  const std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
};

// Metrics made in it are shown. It lives as long as the MetricsRegistry. Thread-safe.
inline prometheus::Registry& PrometheusRegistry(const MetricsRegistry& metrics) {
  return *metrics.impl().registry;
}

}  // namespace neon_redo

#endif  // NEON_REDO_METRICS_REGISTRY_H_

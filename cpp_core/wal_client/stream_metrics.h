// What a receiver tells Prometheus.
#ifndef NEON_REDO_WAL_CLIENT_STREAM_METRICS_H_
#define NEON_REDO_WAL_CLIENT_STREAM_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <cstdint>
#include <string>

#include "cpp_core/metrics/registry.h"
#include "neon_redo/lsn.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

// The values as of the last Update, under names that begin with neon_redo_receive_. LSNs are byte
// positions, as PostgreSQL's pg_wal_lsn_diff(lsn, '0/0') gives them. The registry outlives this.
class StreamMetrics {
 public:
  // slot: a label of every metric; empty: none is used.
  StreamMetrics(const MetricsRegistry& metrics, const std::string& slot);

  // By the thread that owns the stream. written: handed to the operating system; flushed: on disk.
  void Update(WalStream* stream, Lsn written, Lsn flushed);

 private:
  prometheus::Gauge& connected_;
  prometheus::Gauge& timeline_;
  prometheus::Gauge& written_lsn_;
  prometheus::Gauge& flushed_lsn_;
  prometheus::Gauge& server_lsn_;
  prometheus::Gauge& write_lag_;
  prometheus::Gauge& flush_lag_;
  prometheus::Gauge& last_message_;
  prometheus::Counter& bytes_;
  prometheus::Counter& statuses_;
  prometheus::Counter& reconnects_;
};

// Beside them, of the files.
class WriterMetrics {
 public:
  WriterMetrics(const MetricsRegistry& metrics, const std::string& slot);
  void Update(const ArchiveCounts& counts);

 private:
  prometheus::Counter& segments_;
  prometheus::Counter& flushes_;
  prometheus::Counter& flush_seconds_;
};

// Beside them, of an index of the complete segments.
class IndexMetrics {
 public:
  IndexMetrics(const MetricsRegistry& metrics, const std::string& slot);
  void Update(Lsn indexed, uint64_t behind, uint64_t failures);

 private:
  prometheus::Gauge& indexed_lsn_;
  prometheus::Gauge& lag_;
  prometheus::Counter& failures_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_STREAM_METRICS_H_

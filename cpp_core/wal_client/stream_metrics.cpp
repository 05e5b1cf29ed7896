#include "cpp_core/wal_client/stream_metrics.h"

#include <algorithm>
#include <chrono>

namespace neon_redo {

namespace {

prometheus::Labels LabelsFor(const std::string& slot) {
  return slot.empty() ? prometheus::Labels{} : prometheus::Labels{{"slot", slot}};
}

prometheus::Gauge& MakeGauge(const MetricsRegistry& metrics, const std::string& slot,
                             const char* name, const char* help) {
  return prometheus::BuildGauge()
      .Name(std::string("neon_redo_receive_") + name)
      .Help(help)
      .Register(PrometheusRegistry(metrics))
      .Add(LabelsFor(slot));
}

prometheus::Counter& MakeCounter(const MetricsRegistry& metrics, const std::string& slot,
                                 const char* name, const char* help) {
  return prometheus::BuildCounter()
      .Name(std::string("neon_redo_receive_") + name)
      .Help(help)
      .Register(PrometheusRegistry(metrics))
      .Add(LabelsFor(slot));
}

void Raise(prometheus::Counter* counter, double value) {
  counter->Increment(std::max(0.0, value - counter->Value()));
}

void Set(prometheus::Gauge* gauge, Lsn lsn) { gauge->Set(static_cast<double>(lsn.value)); }

void SetLag(prometheus::Gauge* gauge, Lsn server_end, Lsn at) {
  gauge->Set(at.valid() && server_end > at ? static_cast<double>(server_end - at) : 0);
}

}  // namespace

StreamMetrics::StreamMetrics(const MetricsRegistry& metrics, const std::string& slot)
    : connected_(MakeGauge(metrics, slot, "connected", "Whether the stream runs")),
      timeline_(MakeGauge(metrics, slot, "timeline", "Timeline that is received; 0: logical")),
      written_lsn_(MakeGauge(metrics, slot, "written_lsn_bytes", "End of what was written")),
      flushed_lsn_(MakeGauge(metrics, slot, "flushed_lsn_bytes", "End of what is on disk")),
      server_lsn_(
          MakeGauge(metrics, slot, "server_lsn_bytes", "The server's end of WAL as last heard")),
      write_lag_(MakeGauge(metrics, slot, "write_lag_bytes",
                           "The server's WAL that is not written here yet")),
      flush_lag_(MakeGauge(metrics, slot, "flush_lag_bytes",
                           "The server's WAL that is not on disk here yet")),
      last_message_(MakeGauge(metrics, slot, "last_message_timestamp_seconds",
                              "When the server sent its last message, by its own clock")),
      bytes_(MakeCounter(metrics, slot, "received_bytes_total",
                         "Bytes of replication messages received")),
      statuses_(MakeCounter(metrics, slot, "status_messages_total",
                            "Status messages sent to the server")),
      reconnects_(MakeCounter(metrics, slot, "reconnects_total",
                              "Times the stream went on over a new connection")) {}

void StreamMetrics::Update(WalStream* stream, Lsn written, Lsn flushed) {
  connected_.Set(stream->connected() ? 1 : 0);
  timeline_.Set(stream->timeline());
  Set(&written_lsn_, written);
  Set(&flushed_lsn_, flushed);
  Set(&server_lsn_, stream->server_end());
  SetLag(&write_lag_, stream->server_end(), written);
  SetLag(&flush_lag_, stream->server_end(), flushed);
  last_message_.Set(std::chrono::duration<double>(stream->last_sent().time_since_epoch()).count());
  Raise(&bytes_, static_cast<double>(stream->receiver().bytes_received()));
  Raise(&statuses_, static_cast<double>(stream->receiver().statuses_sent()));
  Raise(&reconnects_, static_cast<double>(stream->reconnects()));
}

WriterMetrics::WriterMetrics(const MetricsRegistry& metrics, const std::string& slot)
    : segments_(MakeCounter(metrics, slot, "segments_total", "Segments completed")),
      flushes_(MakeCounter(metrics, slot, "flushes_total", "Flushes of a segment to disk")),
      flush_seconds_(
          MakeCounter(metrics, slot, "flush_seconds_total", "Time spent in those flushes")) {}

void WriterMetrics::Update(const ArchiveCounts& counts) {
  Raise(&segments_, static_cast<double>(counts.segments));
  Raise(&flushes_, static_cast<double>(counts.flushes));
  Raise(&flush_seconds_, std::chrono::duration<double>(counts.flush_time).count());
}

IndexMetrics::IndexMetrics(const MetricsRegistry& metrics, const std::string& slot)
    : indexed_lsn_(MakeGauge(metrics, slot, "indexed_lsn_bytes", "End of what is indexed")),
      lag_(MakeGauge(metrics, slot, "index_lag_bytes", "Complete segments that are not indexed")),
      failures_(MakeCounter(metrics, slot, "index_failures_total", "Failed attempts to index")) {}

void IndexMetrics::Update(Lsn indexed, uint64_t behind, uint64_t failures) {
  Set(&indexed_lsn_, indexed);
  lag_.Set(static_cast<double>(behind));
  Raise(&failures_, static_cast<double>(failures));
}

}  // namespace neon_redo

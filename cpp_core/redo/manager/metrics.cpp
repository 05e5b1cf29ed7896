#include "cpp_core/redo/manager/metrics.h"

#include <utility>

namespace neon_redo {

namespace {

using prometheus::Histogram;

// 5 microseconds to 1 second.
const Histogram::BucketBoundaries kTimes = {
    0.000005, 0.000010, 0.000025, 0.000050, 0.000100, 0.000250, 0.000500, 0.001, 0.0025,
    0.005,    0.010,    0.025,    0.050,    0.100,    0.250,    0.500,    1.0};
const Histogram::BucketBoundaries kCounts = {0, 1, 2, 5, 10, 25, 50, 100, 250, 500};
// Powers of the square root of 2, rounded up to multiples of 8.
const Histogram::BucketBoundaries kBytes = {24,   32,   48,    64,    96,    128,  184,  256,
                                            368,  512,  728,   1024,  1456,  2048, 2904, 4096,
                                            5800, 8192, 11592, 16384, 23176, 32768};
const Histogram::BucketBoundaries kLaunches = {
    0.0002, 0.0004, 0.0006, 0.0008, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.02, 0.04, 0.06,
    0.08,   0.1,    0.2,    0.4,    0.6,   0.8,   1.0,   1.5,   2.0,   2.5,  3.0,  4.0,  10.0};

Histogram& MakeHistogram(prometheus::Registry* registry, const char* name, const char* help,
                         const Histogram::BucketBoundaries& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry).Add({}, buckets);
}

prometheus::Family<prometheus::Counter>& MakeCounters(prometheus::Registry* registry,
                                                      const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
}

prometheus::Gauge& MakeGauge(prometheus::Registry* registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry).Add({});
}

std::array<prometheus::Counter*, kRecordWays> MakeWays(prometheus::Registry* registry) {
  auto& family = MakeCounters(registry, "pageserver_wal_redo_records_total",
                              "Number of PostgreSQL records, by who applied them and why");
  return {&family.Add({{"engine", "native"}, {"reason", "supported"}}),
          &family.Add({{"engine", "worker"}, {"reason", "unsupported"}}),
          &family.Add({{"engine", "worker"}, {"reason", "refused"}}),
          &family.Add({{"engine", "worker"}, {"reason", "along"}})};
}

}  // namespace

RedoMetrics::RedoMetrics(std::shared_ptr<MetricsRegistry> metrics)
    : shared_(std::move(metrics)),
      registry_(&PrometheusRegistry(*shared_)),
      stopped_(MakeCounters(registry_, "pageserver_wal_redo_process_stopped_total",
                            "Number of WAL redo processes stopped, by cause")),
      failed_(MakeCounters(registry_, "pageserver_wal_redo_failed_requests_total",
                           "Number of WAL redo requests answered with an error, by its code")),
      total_(MakeHistogram(registry_, "pageserver_wal_redo_seconds", "Time spent on WAL redo",
                           kTimes)),
      wait_(MakeHistogram(registry_, "pageserver_wal_redo_wait_seconds",
                          "Time spent waiting for access to a WAL redo process", kTimes)),
      native_(MakeHistogram(registry_, "pageserver_wal_redo_native_seconds",
                            "Time spent on records applied without a WAL redo process", kTimes)),
      worker_(MakeHistogram(registry_, "pageserver_wal_redo_worker_seconds",
                            "Time from sending a request to a WAL redo process to its answer",
                            kTimes)),
      records_(MakeHistogram(registry_, "pageserver_wal_redo_records_histogram",
                             "Number of records replayed per redo", kCounts)),
      bytes_(MakeHistogram(registry_, "pageserver_wal_redo_bytes_histogram",
                           "Bytes of PostgreSQL records per redo", kBytes)),
      launch_(MakeHistogram(registry_, "pageserver_wal_redo_process_launch_duration",
                            "Seconds from the launch of a WAL redo process to its first answer",
                            kLaunches)),
      replayed_(MakeCounters(registry_, "pageserver_replayed_wal_records_total",
                             "Number of WAL records replayed")
                    .Add({})),
      ways_(MakeWays(registry_)),
      started_(MakeCounters(registry_, "pageserver_wal_redo_process_started_total",
                            "Number of WAL redo processes started")
                   .Add({})),
      retries_(MakeCounters(registry_, "pageserver_wal_redo_retries_total",
                            "Number of WAL redo attempts after a request's first")
                   .Add({})),
      active_(MakeGauge(registry_, "pageserver_wal_redo_processes_active",
                        "Number of WAL redo processes that run")),
      requests_(MakeGauge(registry_, "pageserver_wal_redo_queue_depth",
                          "Number of WAL redo requests under way")) {}

void RedoMetrics::WorkerStarted(Seconds launch) {
  started_.Increment();
  active_.Increment();
  launch_.Observe(launch.count());
}

void RedoMetrics::WorkerStopped(const char* cause) {
  active_.Decrement();
  stopped_.Add({{"cause", cause}}).Increment();
}

void RedoMetrics::RequestDone(Seconds total, Seconds wait, Seconds native, Seconds worker,
                              size_t records, size_t bytes) {
  requests_.Decrement();
  total_.Observe(total.count());
  wait_.Observe(wait.count());
  if (native.count() > 0) native_.Observe(native.count());
  if (worker.count() > 0) worker_.Observe(worker.count());
  records_.Observe(static_cast<double>(records));
  bytes_.Observe(static_cast<double>(bytes));
  replayed_.Increment(static_cast<double>(records));
}

void RedoMetrics::RequestFailed(ErrorCode code) {
  requests_.Decrement();
  failed_.Add({{"code", ErrorCodeName(code)}}).Increment();
}

}  // namespace neon_redo

#include "cli/verify_follow.h"

#include <fmt/format.h>
#include <prometheus/counter.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "cli/common_options.h"
#include "cli/stop_signal.h"
#include "cli/terminal_line.h"
#include "cpp_core/base/try.h"
#include "cpp_core/metrics/registry.h"
#include "cpp_core/wal_client/stream_metrics.h"
#include "neon_redo/verify_follow.h"

namespace neon_redo::cli {

namespace {

// "0/3A1F0000, 1.2 MB and 0.1 s behind, 81000 records, 5200 images compared, 0 different"
std::string ProgressText(const FollowProgress& p) {
  return fmt::format(
      "{}, {:.1f} MB and {:.1f} s behind, {} records, {} images compared, {} different{}",
      p.verified.ToString(), static_cast<double>(p.behind) / 1e6, p.delay.count(), p.records,
      p.compared, p.different, p.stream->connected() ? "" : ", not connected");
}

class FollowMetrics {
 public:
  FollowMetrics(std::unique_ptr<MetricsExposer> exposer, const std::string& slot)
      : exposer_(std::move(exposer)),
        stream_(*exposer_->registry(), slot),
        records_(Make("records_total", "WAL records verified")),
        compared_(Make("images_compared_total", "Images compared with rebuilt pages")),
        different_(Make("mismatches_total", "Pages that differ or could not be rebuilt")) {}
  void Update(const FollowProgress& p) {
    stream_.Update(p.stream, p.verified, p.verified);
    Raise(&records_, p.records);
    Raise(&compared_, p.compared);
    Raise(&different_, p.different);
  }

 private:
  prometheus::Counter& Make(const std::string& name, const char* help) {
    return prometheus::BuildCounter()
        .Name("neon_redo_verify_" + name)
        .Help(help)
        .Register(PrometheusRegistry(*exposer_->registry()))
        .Add({});
  }
  static void Raise(prometheus::Counter* counter, uint64_t value) {
    counter->Increment(static_cast<double>(value) - counter->Value());
  }

  std::unique_ptr<MetricsExposer> exposer_;
  StreamMetrics stream_;
  prometheus::Counter& records_;
  prometheus::Counter& compared_;
  prometheus::Counter& different_;
};

}  // namespace

Result<VerifyResult> Follow(const FollowArguments& arguments, const VerifyOptions& options,
                            bool progress) {
  FollowOptions follow;
  follow.verify = options;
  follow.stream.receiver.connect.conninfo = arguments.dbname;
  if (!arguments.slot.empty()) follow.slot = arguments.slot;
  follow.start = arguments.start;
  follow.until = options.until_lsn;
  std::optional<FollowMetrics> metrics;
  if (!arguments.metrics.empty()) {
    ASSIGN_OR_RETURN(auto exposer, MetricsExposer::Open(arguments.metrics));
    Say(fmt::format("metrics on port {}", exposer->port()));
    metrics.emplace(std::move(exposer), arguments.slot);
  }
  TerminalLine line(progress);
  follow.stream.on_event = [&line](const std::string& event) {
    line.Clear();
    Say(event);
  };
  follow.on_mismatch = [&line](const Mismatch& m) {
    line.Clear();
    Say(fmt::format("relation {}/{}/{} fork {} block {}, LSN {}: {}\n  {}", m.tag.rel.spc,
                    m.tag.rel.db, m.tag.rel.rel, ForkName(m.tag.fork), m.tag.block,
                    m.lsn.ToString(), m.problem, m.last_record));
  };
  follow.on_progress = [&](const FollowProgress& p) {
    line.Show(ProgressText(p));
    if (metrics) metrics->Update(p);
  };
  return VerifyFollow(follow, StopOnSignals());
}

void AddFollowOptions(Options* options, FollowArguments* arguments) {
  options->Heading("Options for a running server");
  options->Flag("--follow", &arguments->follow,
                "receive WAL from a running server and verify it as it arrives, until SIGINT: "
                "against the images of wal_consistency_checking, and against full-page images "
                "where the record says how the page came about");
  AddConnection(options, &arguments->dbname).Needs("--follow");
  options
      ->Text("--slot=SLOTNAME", &arguments->slot,
             "existing physical slot, which keeps WAL until it is verified")
      .Needs("--follow");
  options
      ->Location("--start=LSN", &arguments->start,
                 "where to start (default: the slot's position, else the server's end of WAL)")
      .Needs("--follow");
  AddMetrics(options, &arguments->metrics);
}

}  // namespace neon_redo::cli

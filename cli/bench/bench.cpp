// Worker and bare child take turns, run by run, so that what disturbs the machine disturbs both;
// a ratio is made of two neighbouring runs. Both are driven by the same client, RedoWorker, in
// batches that keep `depth` requests in flight. So do native engine and worker.
#include "cli/bench/bench.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/redo/worker/command_line.h"
#include "neon_redo/block.h"
#include "neon_redo/native.h"

namespace neon_redo {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kDepths[] = {1, 8, 32};
constexpr size_t kBatch = 128;  // requests of one call; several times the largest depth

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

Status Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("could not pin to processor {}: {}", cpu, std::strerror(errno)));
}

std::optional<MemoryUse> MemoryOf(pid_t pid) {
  std::FILE* file = std::fopen(fmt::format("/proc/{}/smaps_rollup", pid).c_str(), "re");
  if (file == nullptr) return std::nullopt;
  MemoryUse use;
  bool found = false;
  char line[256];
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    unsigned long kib = 0;
    if (std::sscanf(line, "Pss: %lu", &kib) == 1) {
      use.proportional_kib = kib;
      found = true;
    } else if (std::sscanf(line, "Private_Clean: %lu", &kib) == 1 ||
               std::sscanf(line, "Private_Dirty: %lu", &kib) == 1) {
      use.private_kib += kib;
      if (line[8] == 'D') use.dirty_kib = kib;
    }
  }
  std::fclose(file);
  return found ? std::optional<MemoryUse>(use) : std::nullopt;
}

WorkerOptions BareOptions(const BenchOptions& options) {
  WorkerOptions bare;
  bare.program = {options.bare_program};
  if (options.bare_writes_each) bare.program.push_back("each");
  bare.timeout = options.worker.timeout;
  return bare;
}

// A page that was rebuilt carries the LSN of the record that was applied last (PageHeaderData's
// pd_lsn: high half first).
Status CheckPages(std::span<const RedoRequest> requests, const uint8_t* pages) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const uint8_t* page = pages + i * kBlockSize;
    const Lsn lsn(uint64_t{LoadNative<uint32_t>(page)} << 32 | LoadNative<uint32_t>(page + 4));
    const Lsn expected = requests[i].records.back().end;
    if (lsn != expected) {
      return MakeError(ErrorCode::kWorker,
                       fmt::format("block {} was answered with LSN {} instead of {}",
                                   requests[i].tag.block, lsn.ToString(), expected.ToString()));
    }
  }
  return {};
}

class Bench {
 public:
  Bench(const BenchOptions& options, const BenchProgress& progress)
      : options_(options),
        progress_(progress),
        worker_(options.worker),
        bare_(BareOptions(options)) {}

  Result<BenchReport> Run(const BenchRequests& requests);

 private:
  // A kind of request, batch by batch. Pings are an empty batch.
  struct Kind {
    std::string name;
    std::vector<RedoRequest> batch;
  };

  Status MeasureLaunch();
  Status MeasureIdle(const WorkerOptions& options, std::optional<MemoryUse>* use);
  Status WarmUp(const std::vector<Kind>& kinds);
  Status MeasureCell(const Kind& kind, size_t depth);
  Status MeasureNative(const Kind& kind);
  Status MeasureWorker(const std::vector<Kind>& kinds);
  Status RunBatch(RedoWorker* worker, const Kind& kind);
  Status RunNative(const Kind& kind, bool crc);
  // Microseconds a request.
  Result<double> Time(RedoWorker* worker, const Kind& kind, size_t depth);
  Result<double> TimeNative(const Kind& kind, bool crc);
  template <typename F>
  Result<double> Repeat(F batch);
  void Step(const std::string& name) {
    if (progress_) progress_(name, steps_done_, options_.engine == Engine::kNative ? 2 : 13);
    ++steps_done_;
  }

  const BenchOptions& options_;
  const BenchProgress& progress_;
  RedoWorker worker_;
  RedoWorker bare_;
  BenchReport report_;
  uint64_t steps_done_ = 0;
  std::vector<uint8_t> pages_ = std::vector<uint8_t>(kBatch * kBlockSize);
  std::vector<Status> statuses_ = std::vector<Status>(kBatch);
  RecordView view_{*options_.worker.version};
};

Status Bench::MeasureLaunch() {
  std::vector<double> workers;
  std::vector<double> bares;
  std::vector<double> ratios;
  auto launch = [](const WorkerOptions& options) -> Result<double> {
    RedoWorker worker(options);
    const Clock::time_point start = Clock::now();
    RETURN_IF_ERROR(worker.Start());
    return Seconds(start) * 1e3;
  };
  const WorkerOptions bare_options = BareOptions(options_);
  for (int run = 0; run < options_.launches; ++run) {
    ASSIGN_OR_RETURN(const double bare, launch(bare_options));
    ASSIGN_OR_RETURN(const double worker, launch(options_.worker));
    bares.push_back(bare);
    workers.push_back(worker);
    ratios.push_back(worker / bare);
  }
  report_.launch_worker = SpreadOf(std::move(workers));
  report_.launch_bare = SpreadOf(std::move(bares));
  report_.launch_ratio = SpreadOf(std::move(ratios));
  return {};
}

// The only one of this program: what a second one would map as well, the server's code, counts as
// private here.
Status Bench::MeasureIdle(const WorkerOptions& options, std::optional<MemoryUse>* use) {
  RedoWorker worker(options);
  RETURN_IF_ERROR(worker.Ping());
  *use = MemoryOf(worker.pid());
  return {};
}

Status Bench::RunBatch(RedoWorker* worker, const Kind& kind) {
  if (kind.batch.empty()) return worker->Ping(kBatch);
  worker->RedoBatch(kind.batch, pages_.data(), statuses_);
  for (Status& status : statuses_) {
    if (!status) return status;
  }
  return {};
}

// One request at a time, so one page for the answers: the caller is done with one before it asks
// for the next.
Status Bench::RunNative(const Kind& kind, bool crc) {
  for (const RedoRequest& request : kind.batch) {
    for (const RedoRecord& record : request.records) {
      if (crc && !RecordView::VerifyCrc(record.record))
        return MakeError(ErrorCode::kCorrupt, "a record's CRC is wrong");
    }
    const NativeRun run =
        ApplyNativeRun(request.tag, request.records, pages_.data(), false, &view_, nullptr);
    if (run.result != NativeResult::kApplied)
      return MakeError(ErrorCode::kUnsupported, "a request is not for the native engine");
  }
  return {};
}

template <typename F>
Result<double> Bench::Repeat(F batch) {
  size_t count = 0;
  const Clock::time_point start = Clock::now();
  double elapsed = 0;
  do {
    RETURN_IF_ERROR(batch());
    count += kBatch;
    elapsed = Seconds(start);
  } while (elapsed < options_.seconds);
  return elapsed * 1e6 / static_cast<double>(count);
}

Result<double> Bench::Time(RedoWorker* worker, const Kind& kind, size_t depth) {
  worker->set_window(depth);
  return Repeat([&] { return RunBatch(worker, kind); });
}

Result<double> Bench::TimeNative(const Kind& kind, bool crc) {
  return Repeat([&] { return RunNative(kind, crc); });
}

// Both have served every kind, and the worker answers what it should.
Status Bench::WarmUp(const std::vector<Kind>& kinds) {
  worker_.set_window(*std::ranges::max_element(kDepths));
  for (const Kind& kind : kinds) {
    RETURN_IF_ERROR(RunBatch(&bare_, kind));
    for (int i = 0; i < 4; ++i) {
      RETURN_IF_ERROR(RunBatch(&worker_, kind));
    }
    if (kind.batch.empty()) continue;
    RETURN_IF_ERROR(CheckPages(kind.batch, pages_.data()));
  }
  return {};
}

Status Bench::MeasureCell(const Kind& kind, size_t depth) {
  std::vector<double> workers;
  std::vector<double> bares;
  std::vector<double> ratios;
  for (int run = 0; run < options_.runs; ++run) {
    ASSIGN_OR_RETURN(const double bare, Time(&bare_, kind, depth));
    ASSIGN_OR_RETURN(const double worker, Time(&worker_, kind, depth));
    bares.push_back(bare);
    workers.push_back(worker);
    ratios.push_back(bare / worker);
  }
  report_.cells.push_back({kind.name, depth, SpreadOf(std::move(workers)),
                           SpreadOf(std::move(bares)), SpreadOf(std::move(ratios))});
  return {};
}

Status Bench::MeasureNative(const Kind& kind) {
  const bool with_worker = options_.engine != Engine::kNative;
  const std::vector<size_t> depths =
      with_worker ? std::vector<size_t>{32, 1} : std::vector<size_t>{};
  std::vector<double> plain, crc;
  std::vector<std::vector<double>> plain_ratios(depths.size()), crc_ratios(depths.size());
  for (int run = 0; run < options_.runs; ++run) {
    for (bool with_crc : {false, true}) {
      ASSIGN_OR_RETURN(const double native, TimeNative(kind, with_crc));
      (with_crc ? crc : plain).push_back(native);
    }
    for (size_t i = 0; i < depths.size(); ++i) {
      ASSIGN_OR_RETURN(const double worker, Time(&worker_, kind, depths[i]));
      plain_ratios[i].push_back(worker / plain.back());
      crc_ratios[i].push_back(worker / crc.back());
    }
  }
  NativeCell cell{kind.name, SpreadOf(std::move(plain)), SpreadOf(std::move(crc)), {}};
  for (size_t i = 0; i < depths.size(); ++i)
    cell.to_worker.push_back({depths[i], SpreadOf(plain_ratios[i]), SpreadOf(crc_ratios[i])});
  report_.native.push_back(std::move(cell));
  return {};
}

Status Bench::MeasureWorker(const std::vector<Kind>& kinds) {
  Step("launch to first answer");
  Status status = MeasureLaunch();
  Step("idle memory");
  if (status) status = MeasureIdle(options_.worker, &report_.idle);
  if (status) status = MeasureIdle(BareOptions(options_), &report_.idle_bare);
  if (status) status = WarmUp(kinds);
  const std::optional<MemoryUse> before = status ? MemoryOf(worker_.pid()) : std::nullopt;
  for (const Kind& kind : kinds) {
    for (size_t depth : kDepths) {
      if (!status) break;
      Step(fmt::format("{}, {} in flight", kind.name, depth));
      status = MeasureCell(kind, depth);
    }
  }
  if (!status) return status;
  const std::optional<MemoryUse> after = MemoryOf(worker_.pid());
  report_.requests = worker_.statistics().answers;
  if (before && after) {
    report_.growth_kib =
        static_cast<int64_t>(after->dirty_kib) - static_cast<int64_t>(before->dirty_kib);
  }
  return {};
}

Result<BenchReport> Bench::Run(const BenchRequests& requests) {
  const RequestViews short_views(requests.short_ones);
  const RequestViews medium_views(requests.medium_ones);
  std::vector<Kind> kinds = {{"ping", {}}, {"short", {}}, {"medium", {}}};
  for (size_t i = 0; i < kBatch; ++i) {
    kinds[1].batch.push_back(short_views.requests()[i % requests.short_ones.size()]);
    kinds[2].batch.push_back(medium_views.requests()[i % requests.medium_ones.size()]);
  }
  Status status;
  if (options_.cpu) status = Pin(*options_.cpu);
  if (status && options_.engine != Engine::kNative) status = MeasureWorker(kinds);
  for (size_t i = 1; i < kinds.size() && options_.engine != Engine::kWorker; ++i) {
    if (!status) break;
    Step(fmt::format("{}, native", kinds[i].name));
    status = MeasureNative(kinds[i]);
    for (const RedoRequest& request : kinds[i].batch) {
      if (status) status = RunNative({"", {request}}, false);
      if (status) status = CheckPages({&request, 1}, pages_.data());
    }
  }
  if (!status) return tl::unexpected(status.error());
  return std::move(report_);
}

}  // namespace

Result<BenchReport> RunBench(const BenchOptions& options, const BenchRequests& requests,
                             const BenchProgress& progress) {
  return Bench(options, progress).Run(requests);
}

}  // namespace neon_redo

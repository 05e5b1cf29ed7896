// neon-redo bench: a redo worker against a bare child that moves the same bytes, and the native
// engine against the worker.
#include "cli/bench/bench.h"

#include <fmt/format.h>
#include <sched.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/bench/requests.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/progress_bar.h"
#include "cpp_core/base/number.h"
#include "cpp_core/base/try.h"

namespace neon_redo::cli {

namespace {

using Json = nlohmann::ordered_json;

struct BenchArguments {
  std::string wal;
  bool json = false;
  bool pin = true;
  BenchOptions bench;
  std::chrono::duration<double> length{0.05};  // of a run
  bool no_progress = false;
};

std::string BareProgram() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "neon-redo-bare").string();
}

// The last processor that we may use: the first serves the machine's interrupts more often.
int LastProcessor() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) last = cpu;
  }
  return last;
}

struct Sizes {
  const char* name;
  const std::vector<BenchRequest>* requests;
  size_t records = 0;  // of a typical one
  size_t bytes = 0;
};

std::vector<Sizes> SizesOf(const BenchRequests& requests) {
  std::vector<Sizes> sizes = {{"short", &requests.short_ones}, {"medium", &requests.medium_ones}};
  for (Sizes& kind : sizes) {
    const BenchRequest& typical = (*kind.requests)[kind.requests->size() / 2];
    kind.records = typical.bytes.size();
    kind.bytes = typical.size;
  }
  return sizes;
}

void PrintWorker(const BenchReport& report) {
  fmt::print("\nThe worker; ratio: its throughput to the bare child's\n");
  fmt::print("{:<9}{:>9}{:>14}{:>14}{:>14}{:>9}{:>17}\n", "request", "in flight", "us/request",
             "bare child", "worker alone", "ratio", "lowest..highest");
  for (const BenchCell& cell : report.cells) {
    fmt::print("{:<9}{:>9}{:>14.2f}{:>14.2f}{:>14.2f}{:>9.3f}{:>17}\n", cell.request, cell.depth,
               cell.worker.median, cell.bare.median, cell.worker.median - cell.bare.median,
               cell.ratio.median, fmt::format("{:.3f}..{:.3f}", cell.ratio.low, cell.ratio.high));
  }
  fmt::print(
      "\nlaunch to first answer: {:.2f} ms, bare child {:.2f} ms, ratio {:.2f} ({:.2f}..{:.2f})\n",
      report.launch_worker.median, report.launch_bare.median, report.launch_ratio.median,
      report.launch_ratio.low, report.launch_ratio.high);
  if (report.idle) {
    fmt::print("idle memory, alone: {} KiB private, {} KiB proportional\n",
               report.idle->private_kib, report.idle->proportional_kib);
  } else {
    fmt::print("idle memory: not available (a sandboxed worker's is for root to read)\n");
  }
  if (report.growth_kib) {
    fmt::print("memory growth over {} requests: {} KiB\n", report.requests, *report.growth_kib);
  }
}

void PrintNative(const BenchReport& report) {
  fmt::print("\nThe native engine; ratio: its throughput to the worker's\n");
  fmt::print("{:<9}{:>14}{:>14}", "request", "us/request", "with CRC");
  for (const NativeCell::Ratio& ratio : report.native.front().to_worker)
    fmt::print("{:>28}", fmt::format("worker with {} in flight", ratio.depth));
  fmt::print("\n");
  for (const NativeCell& cell : report.native) {
    fmt::print("{:<9}{:>14.2f}{:>14.2f}", cell.request, cell.native.median, cell.native_crc.median);
    for (const NativeCell::Ratio& ratio : cell.to_worker)
      fmt::print("{:>28}",
                 fmt::format("{:.1f} ({:.1f} with CRC)", ratio.plain.median, ratio.crc.median));
    fmt::print("\n");
  }
}

void PrintText(const BenchOptions& bench, const BenchRequests& requests,
               const BenchReport& report) {
  for (const Sizes& kind : SizesOf(requests)) {
    fmt::print("{}: {} records, {} bytes of WAL, {} different pages\n", kind.name, kind.records,
               kind.bytes, kind.requests->size());
  }
  fmt::print("{}, {} runs of {} s, medians\n",
             bench.cpu ? fmt::format("all on processor {}", *bench.cpu) : "not pinned", bench.runs,
             bench.seconds);
  if (!report.cells.empty()) PrintWorker(report);
  if (!report.native.empty()) PrintNative(report);
}

Json SpreadJson(const Spread& spread) {
  return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
}

Json MemoryJson(const std::optional<MemoryUse>& use) {
  if (!use) return nullptr;
  return {{"private_kib", use->private_kib}, {"proportional_kib", use->proportional_kib}};
}

void AddNative(const BenchReport& report, Json* out) {
  for (const NativeCell& cell : report.native) {
    Json entry = {{"request", cell.request},
                  {"native_us", SpreadJson(cell.native)},
                  {"native_with_crc_us", SpreadJson(cell.native_crc)},
                  {"to_worker", Json::array()}};
    for (const NativeCell::Ratio& ratio : cell.to_worker)
      entry["to_worker"].push_back({{"in_flight", ratio.depth},
                                    {"ratio", SpreadJson(ratio.plain)},
                                    {"ratio_with_crc", SpreadJson(ratio.crc)}});
    (*out)["native"].push_back(std::move(entry));
  }
}

void PrintJson(const BenchOptions& bench, const BenchRequests& requests,
               const BenchReport& report) {
  Json out;
  out["processor"] = bench.cpu ? Json(*bench.cpu) : Json(nullptr);
  out["runs"] = bench.runs;
  out["seconds"] = bench.seconds;
  for (const Sizes& kind : SizesOf(requests)) {
    out["requests"][kind.name] = {
        {"records", kind.records}, {"wal_bytes", kind.bytes}, {"different", kind.requests->size()}};
  }
  AddNative(report, &out);
  if (report.cells.empty()) {
    fmt::print("{}\n", out.dump(2));
    return;
  }
  for (const BenchCell& cell : report.cells) {
    out["throughput"].push_back({{"request", cell.request},
                                 {"in_flight", cell.depth},
                                 {"worker_us", SpreadJson(cell.worker)},
                                 {"bare_us", SpreadJson(cell.bare)},
                                 {"ratio", SpreadJson(cell.ratio)}});
  }
  out["launch"] = {{"worker_ms", SpreadJson(report.launch_worker)},
                   {"bare_ms", SpreadJson(report.launch_bare)},
                   {"ratio", SpreadJson(report.launch_ratio)}};
  out["idle_memory"] = MemoryJson(report.idle);
  out["idle_memory_bare"] = MemoryJson(report.idle_bare);
  out["growth"] = {{"requests", report.requests},
                   {"private_kib", report.growth_kib ? Json(*report.growth_kib) : Json(nullptr)}};
  fmt::print("{}\n", out.dump(2));
}

Outcome Run(BenchArguments* arguments) {
  BenchOptions& bench = arguments->bench;
  if (!arguments->pin) {
    bench.cpu = std::nullopt;
  } else if (!bench.cpu) {
    bench.cpu = LastProcessor();
  }
  bench.seconds = arguments->length.count();
  bench.bare_program = BareProgram();
  ASSIGN_OR_RETURN(const BenchRequests requests, FindBenchRequests(arguments->wal));
  bench.worker.version = requests.version;
  ProgressBar bar(!arguments->no_progress);
  const Result<BenchReport> report =
      RunBench(bench, requests, [&bar](const std::string& step, uint64_t done, uint64_t all) {
        bar.Show(step.c_str(), done, all);
      });
  bar.Clear();
  if (!report) return tl::unexpected(Failure(report.error()));
  if (arguments->json) {
    PrintJson(bench, requests, *report);
  } else {
    PrintText(bench, requests, *report);
  }
  return kExitFine;
}

// --pin: the number of a processor, or "none".
Status ReadPin(const std::string& text, BenchArguments* arguments) {
  arguments->pin = text != "none";
  if (!arguments->pin) return {};
  const auto cpu = ParseInteger(text, 0, std::numeric_limits<int>::max());
  if (!cpu)
    return MakeError(ErrorCode::kInvalidArgument,
                     "it must be the number of a processor, or \"none\"");
  arguments->bench.cpu = static_cast<int>(*cpu);
  return {};
}

}  // namespace

CommandFunction DeclareBench(Options* options) {
  auto arguments = std::make_shared<BenchArguments>();
  options->Usage("[OPTION]... --wal=DIR");
  options
      ->Path("--wal=DIR", &arguments->wal,
             "directory with the WAL that tests/bench/make_wal.py makes")
      .Required();
  AddUntestedVersion(options);
  AddEngine(options, &arguments->bench.engine,
            "what to measure: worker, native, or auto (default): both and their ratio");
  options->Value(
      "--pin=CPU", [arguments](const std::string& text) { return ReadPin(text, arguments.get()); },
      "processor that client, worker and bare child run on (default: the last one), or \"none\"");
  options->Integer("--runs=N", &arguments->bench.runs, {1, 10000},
                   "runs of each measurement (default: 21)");
  options->Duration("--seconds=SECS", &arguments->length, std::chrono::milliseconds(1),
                    "length of one run (default: 0.05)");
  AddFormat(options, &arguments->json, "text (default) or json");
  options->Flag("--bare-writes-each", &arguments->bench.bare_writes_each,
                "let the bare child write each answer on its own instead of all that are ready at "
                "once; this is easier to beat");
  AddNoProgress(options, &arguments->no_progress);
  AddWorkerOptions(options, &arguments->bench.worker);
  options->Notes(
      "The command measures a redo worker against a bare child process that moves the\n"
      "same bytes, and the native engine against the worker. Requests come from real WAL:\n"
      "ping; short, a full-page image and one more record; medium, about 230 heap inserts\n"
      "on a new page. There are 1, 8 and 32 requests in flight. Worker and bare child take\n"
      "turns, as do native engine and worker. Idle memory is shown only to root.\n\n"
      "Examples:\n"
      "  tests/bench/make_wal.py /tmp/bench_wal\n"
      "  neon-redo bench --wal=/tmp/bench_wal\n"
      "  neon-redo bench --wal=/tmp/bench_wal --worker-command='exec neon-redo worker'\n");
  return [arguments] { return Run(arguments.get()); };
}

}  // namespace neon_redo::cli

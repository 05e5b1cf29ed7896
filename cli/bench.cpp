// neon-redo bench: a redo worker against a bare child that moves the same bytes, and the native
// engine against the worker.
#include "cli/bench/bench.h"

#include <fmt/format.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cli/bench/requests.h"

namespace neon_redo::cli {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string wal;
  std::string format = "text";
  std::string engine = "auto";
  std::string pin;
  BenchOptions bench;
  bool no_sandbox = false;
  bool no_progress = false;
};

int Trouble(const std::string& message) {
  fmt::print(stderr, "neon-redo bench: error: {}\n", message);
  return kExitTrouble;
}

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

void PrintText(const BenchOptions& options, const BenchRequests& requests,
               const BenchReport& report) {
  for (const Sizes& kind : SizesOf(requests)) {
    fmt::print("{}: {} records, {} bytes of WAL, {} different pages\n", kind.name, kind.records,
               kind.bytes, kind.requests->size());
  }
  fmt::print("{}, {} runs of {} s, medians\n",
             options.cpu ? fmt::format("all on processor {}", *options.cpu) : "not pinned",
             options.runs, options.seconds);
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

void PrintJson(const BenchOptions& options, const BenchRequests& requests,
               const BenchReport& report) {
  Json out;
  out["processor"] = options.cpu ? Json(*options.cpu) : Json(nullptr);
  out["runs"] = options.runs;
  out["seconds"] = options.seconds;
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

int Run(Options* options) {
  if (options->pin != "none") {
    options->bench.cpu = options->pin.empty() ? LastProcessor() : std::stoi(options->pin);
  }
  options->bench.engine = options->engine == "native"   ? Engine::kNative
                          : options->engine == "worker" ? Engine::kWorker
                                                        : Engine::kAuto;
  options->bench.worker.sandbox = !options->no_sandbox;
  options->bench.bare_program = BareProgram();
  const Result<BenchRequests> requests = FindBenchRequests(options->wal);
  if (!requests) return Trouble(requests.error().message);
  ProgressBar bar(!options->no_progress);
  const Result<BenchReport> report = RunBench(
      options->bench, *requests, [&bar](const std::string& step, uint64_t done, uint64_t all) {
        bar.Show(step.c_str(), done, all);
      });
  bar.Clear();
  if (!report) return Trouble(report.error().message);
  if (options->format == "json") {
    PrintJson(options->bench, *requests, *report);
  } else {
    PrintText(options->bench, *requests, *report);
  }
  return std::fflush(stdout) == 0 ? kExitFine : Trouble("could not write to stdout");
}

}  // namespace

void AddBench(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app->add_subcommand("bench",
                          "Measure a redo worker against a bare child process, and the native "
                          "engine against the worker");
  command
      ->add_option("--wal", options->wal,
                   "Directory of WAL segments with what it needs (tests/bench/make_wal.py)")
      ->required()
      ->type_name("DIR");
  command->add_option("--format", options->format, "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  command
      ->add_option("--engine", options->engine,
                   "What to measure: worker, native, or auto (default: both and their ratio)")
      ->check(CLI::IsMember({"auto", "native", "worker"}))
      ->type_name("NAME");
  command
      ->add_option("--pin", options->pin,
                   "Processor for client, worker and bare child (default: the last); none")
      ->check(CLI::NonNegativeNumber | CLI::IsMember({"none"}))
      ->type_name("CPU");
  command->add_option("--runs", options->bench.runs, "Runs of each measurement (default: 21)")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  command->add_option("--seconds", options->bench.seconds, "Length of one run (default: 0.05)")
      ->check(CLI::Range(0.001, 3600.0))
      ->type_name("S");
  command
      ->add_option("--bindir", options->bench.worker.bindir,
                   "Directory of the server's programs (default: " NEON_REDO_DEFAULT_BINDIR ")")
      ->type_name("DIR");
  command
      ->add_option("--module", options->bench.worker.module,
                   "Path of neon.so (default: the installed one)")
      ->type_name("FILE");
  command
      ->add_option("--worker-command", options->bench.worker.command,
                   "Shell command of any worker of the protocol, to measure instead")
      ->type_name("CMD");
  command->add_flag("--bare-writes-each", options->bench.bare_writes_each,
                    "The bare child answers with one write each, instead of all that is ready in "
                    "one: the simplest child, an easier mark");
  command->add_flag("--no-sandbox", options->no_sandbox, "Debugging only");
  command->add_flag("--no-progress", options->no_progress, "No progress on stderr");
  command->footer(
      "Requests come from real WAL: ping; short, a full-page image and one record more; medium,\n"
      "about 230 heap inserts onto a new page; at 1, 8 and 32 in flight. Worker and bare child\n"
      "take turns, and so do native engine and worker. Idle memory is shown when run as root.\n\n"
      "Examples:\n"
      "  tests/bench/make_wal.py /tmp/bench_wal && neon-redo bench --wal /tmp/bench_wal\n"
      "  neon-redo bench --wal /tmp/bench_wal --worker-command 'exec neon-redo worker'\n");
  command->callback([options, exit_status] { *exit_status = Run(options.get()); });
}

}  // namespace neon_redo::cli

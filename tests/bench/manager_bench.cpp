// The redo manager under load, with real workers: manager_bench --wal DIR [--module PATH] [PART]...
// Prints one line a figure. The parts, all by default: lone, batch, flood, engine, mix, spare,
// idle, parent.
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "cli/bench/requests.h"
#include "neon_redo/manager.h"

namespace {

using namespace neon_redo;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "manager_bench: %s\n", message.c_str());
  std::exit(2);
}

struct Requests {
  std::vector<std::vector<PageRecord>> records;
  std::vector<PageRequest> requests;

  explicit Requests(const std::vector<BenchRequest>& from) {
    for (const BenchRequest& request : from) {
      std::vector<PageRecord>& list = records.emplace_back(request.bytes.size());
      for (size_t i = 0; i < request.bytes.size(); ++i) {
        list[i].lsn = request.ends[i];
        list[i].record = PostgresRecord{i == 0, request.bytes[i]};
      }
      PageRequest page;
      page.key = PageKey::OfBlock(request.tag);
      page.lsn = request.ends.back();
      page.records = list;
      requests.push_back(page);
    }
  }
  const PageRequest& At(size_t i) const { return requests[i % requests.size()]; }
};

struct Setting {
  WorkerOptions worker;
  std::unique_ptr<Requests> short_ones;
  std::unique_ptr<Requests> medium_ones;
  std::vector<BenchRequest> short_raw;
  std::vector<BenchRequest> medium_raw;
};

ManagerOptions Options(const Setting& setting, size_t workers) {
  ManagerOptions options;
  options.engine = Engine::kWorker;
  options.worker = setting.worker;
  options.max_workers = workers;
  return options;
}

double Micros(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

struct Spread {
  double median, p99;
};
Spread Of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values[values.size() * 99 / 100]};
}

void MustBeGood(const Result<PageImage>& page) {
  if (!page) Die(page.error().message);
}

Spread LoneManager(RedoManager* manager, const Requests& requests, double seconds) {
  std::vector<double> times;
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                   std::chrono::duration<double>(seconds));
  for (size_t i = 0; Clock::now() < end; ++i) {
    const Clock::time_point start = Clock::now();
    MustBeGood(manager->RequestRedo(requests.At(i)));
    times.push_back(Micros(Clock::now() - start));
  }
  return Of(times);
}

Spread LoneWorker(RedoWorker* worker, const std::vector<BenchRequest>& raw, double seconds) {
  const RequestViews views(raw);
  std::vector<uint8_t> page(kBlockSize);
  std::vector<double> times;
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                   std::chrono::duration<double>(seconds));
  for (size_t i = 0; Clock::now() < end; ++i) {
    const Clock::time_point start = Clock::now();
    if (!worker->Redo(views.requests()[i % raw.size()], page.data())) Die("worker failed");
    times.push_back(Micros(Clock::now() - start));
  }
  return Of(times);
}

// One request in flight: the bare pipe placed by the kernel, and managers.
void Lone(const Setting& setting) {
  std::printf("lone caller, microseconds a request: median (99th percentile)\n");
  for (const bool medium : {false, true}) {
    const Requests& requests = medium ? *setting.medium_ones : *setting.short_ones;
    for (int round = 0; round < 3; ++round) {
      RedoWorker worker(setting.worker);
      const Spread kernel =
          LoneWorker(&worker, medium ? setting.medium_raw : setting.short_raw, 0.5);
      ManagerOptions options = Options(setting, 1);
      options.follow_caller = false;
      RedoManager placed_by_kernel(options);
      const Spread off = LoneManager(&placed_by_kernel, requests, 0.5);
      RedoManager manager(Options(setting, 1));
      const Spread on = LoneManager(&manager, requests, 0.5);
      std::printf(
          "  %-6s  bare pipe %.1f (%.1f)  manager, kernel's choice %.1f (%.1f)  "
          "manager, default %.1f (%.1f)\n",
          medium ? "medium" : "short", kernel.median, kernel.p99, off.median, off.p99, on.median,
          on.p99);
    }
  }
}

// Seconds of processor time, of this process and of its workers that have ended.
double ProcessorTime(int who) {
  rusage usage;
  getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct Rate {
  double each_second;
  double own_time, worker_time;  // processor time, microseconds a request
};

Rate FloodOnce(const ManagerOptions& options, const Requests& requests, int threads, size_t depth,
               double seconds) {
  const double own = ProcessorTime(RUSAGE_SELF), workers = ProcessorTime(RUSAGE_CHILDREN);
  auto manager = std::make_unique<RedoManager>(options);
  for (size_t i = 0; manager->status().workers.size() < options.max_workers; ++i) {
    const std::vector<PageRequest> many(64, requests.At(i));
    for (const auto& page : manager->RequestRedoBatch(many)) MustBeGood(page);
  }
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> count = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < threads; ++t) {
    callers.emplace_back([&, t] {
      std::vector<PageRequest> batch(depth);
      for (size_t i = static_cast<size_t>(t) * 7; !stop; i += depth) {
        for (size_t k = 0; k < depth; ++k) batch[k] = requests.At(i + k);
        for (const auto& page : manager->RequestRedoBatch(batch)) MustBeGood(page);
        count += depth;
      }
    });
  }
  const Clock::time_point start = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& caller : callers) caller.join();
  const double time = Micros(Clock::now() - start) / 1e6;
  manager = nullptr;
  const double each = 1e6 / static_cast<double>(count);
  return {static_cast<double>(count) / time, (ProcessorTime(RUSAGE_SELF) - own) * each,
          (ProcessorTime(RUSAGE_CHILDREN) - workers) * each};
}

// One caller: a request at a time, and many with one call.
void Batch(const Setting& setting) {
  for (const bool medium : {true, false}) {
    const Requests& requests = medium ? *setting.medium_ones : *setting.short_ones;
    for (const size_t size : {1, 8, 32, 256}) {
      const Rate one = FloodOnce(Options(setting, 1), requests, 1, size, 1);
      const Rate two = FloodOnce(Options(setting, 2), requests, 1, size, 1);
      std::printf("batch, %-6s  of %3zu: %.0f/s on one worker, %.0f/s on two\n",
                  medium ? "medium" : "short", size, one.each_second, two.each_second);
    }
  }
}

// 8 threads: on one worker, and on two.
void FloodAt(const Setting& setting, bool medium, size_t depth) {
  const Requests& requests = medium ? *setting.medium_ones : *setting.short_ones;
  for (int round = 0; round < 3; ++round) {
    const Rate one = FloodOnce(Options(setting, 1), requests, 8, depth, 1);
    const Rate two = FloodOnce(Options(setting, 2), requests, 8, depth, 1);
    std::printf(
        "flood, %-6s  8 threads x %zu: %.0f/s on one worker, %.0f/s on two: %.2f times; processor "
        "microseconds a request, here and in workers: %.1f + %.1f on one, %.1f + %.1f on two\n",
        medium ? "medium" : "short", depth, one.each_second, two.each_second,
        two.each_second / one.each_second, one.own_time, one.worker_time, two.own_time,
        two.worker_time);
  }
}

void Flood(const Setting& setting) {
  for (const bool medium : {true, false}) {
    for (const size_t depth : {4, 32}) FloodAt(setting, medium, depth);
  }
}

// The native engine in the caller's thread instead.
void NativeEngine(const Setting& setting) {
  for (const bool medium : {false, true}) {
    const Requests& requests = medium ? *setting.medium_ones : *setting.short_ones;
    for (int round = 0; round < 3; ++round) {
      ManagerOptions options = Options(setting, 1);
      const double workers = FloodOnce(options, requests, 1, 32, 1).each_second;
      RedoManager by_worker(options);
      const Spread lone_worker = LoneManager(&by_worker, requests, 0.5);
      options.engine = Engine::kAuto;
      RedoManager manager(options);
      const Spread lone = LoneManager(&manager, requests, 1);
      if (manager.status().launches != 0) Die("the native engine left records to a worker");
      std::printf(
          "engine, %-6s  native %.2f microseconds a request; a worker alone %.1f: %.0f times; a "
          "worker with 32 in flight %.1f: %.1f times\n",
          medium ? "medium" : "short", lone.median, lone_worker.median,
          lone_worker.median / lone.median, 1e6 / workers, 1e6 / workers / lone.median);
    }
  }
}

// Short requests beside a flood of medium ones.
void Mix(const Setting& setting) {
  for (int round = 0; round < 3; ++round) {
    RedoManager manager(Options(setting, 2));
    std::atomic<bool> stop = false;
    std::vector<std::thread> callers;
    for (int t = 0; t < 8; ++t) {
      callers.emplace_back([&, t] {
        std::vector<PageRequest> batch(4);
        for (size_t i = static_cast<size_t>(t); !stop; i += 4) {
          for (size_t k = 0; k < 4; ++k) batch[k] = setting.medium_ones->At(i + k);
          for (const auto& page : manager.RequestRedoBatch(batch)) MustBeGood(page);
        }
      });
    }
    std::this_thread::sleep_for(milliseconds(200));
    const Spread beside = LoneManager(&manager, *setting.short_ones, 2);
    stop = true;
    for (std::thread& caller : callers) caller.join();
    std::printf("short beside a medium flood: median %.0f, 99th percentile %.0f: %.2f times\n",
                beside.median, beside.p99, beside.p99 / beside.median);
  }
}

double FirstRequest(const Setting& setting, bool spare, size_t* launches) {
  ManagerOptions options = Options(setting, 1);
  options.warm_spare = spare;
  RedoManager manager(options);
  const auto warm = [&] {
    const ManagerStatus status = manager.status();
    return !status.workers.empty() && !status.workers[0].starting;
  };
  while (spare && !warm()) usleep(100);
  const Clock::time_point start = Clock::now();
  MustBeGood(manager.RequestRedo(setting.short_ones->At(0)));
  const double time = Micros(Clock::now() - start);
  *launches = manager.status().launches;
  return time;
}

void Spare(const Setting& setting) {
  std::vector<double> with, without;
  size_t launches = 0;
  for (int i = 0; i < 21; ++i) {
    without.push_back(FirstRequest(setting, false, &launches));
    with.push_back(FirstRequest(setting, true, &launches));
    if (launches != 1) Die("the first request launched a worker beside the spare");
  }
  std::printf("first request: %.0f microseconds with a warm spare, %.0f without\n", Of(with).median,
              Of(without).median);
}

uint64_t Pss(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
  std::string word;
  while (file >> word) {
    uint64_t kib;
    if (word == "Pss:" && file >> kib) return kib;
  }
  return 0;
}

int Entries(const char* path) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    (void)entry;
    ++count;
  }
  return count;
}

void Idle(const Setting& setting) {
  constexpr size_t kManagers = 200;
  const uint64_t before = Pss(getpid());
  const int descriptors = Entries("/proc/self/fd");
  const int threads = Entries("/proc/self/task");
  std::vector<std::unique_ptr<RedoManager>> managers;
  for (size_t i = 0; i < kManagers; ++i) {
    managers.push_back(std::make_unique<RedoManager>(Options(setting, 1)));
    MustBeGood(managers.back()->RequestRedo(setting.short_ones->At(i)));
  }
  uint64_t workers = 0;
  for (const auto& manager : managers) workers += Pss(manager->status().workers.at(0).pid);
  const uint64_t own = Pss(getpid()) - std::min(before, Pss(getpid()));
  std::printf(
      "%zu idle managers, a worker each: %.2f MiB proportional memory of each worker, "
      "%.2f MiB in this process\n",
      kManagers, static_cast<double>(workers) / 1024.0 / kManagers,
      static_cast<double>(own) / 1024.0 / kManagers);
  size_t ended = 0;
  for (const auto& manager : managers) ended += manager->Quiesce(milliseconds(0));
  std::printf("after quiesce: %zu workers ended, %d descriptors and %d threads left over\n", ended,
              Entries("/proc/self/fd") - descriptors, Entries("/proc/self/task") - threads);
}

// The launch of a worker by a process of 4 GiB.
void Parent(const Setting& setting) {
  size_t launches;
  std::vector<double> small, large;
  for (int i = 0; i < 21; ++i) small.push_back(FirstRequest(setting, false, &launches));
  constexpr size_t kSize = 4ull << 30;
  void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Die("no 4 GiB of memory");
  madvise(memory, kSize, MADV_NOHUGEPAGE);
  std::memset(memory, 1, kSize);
  for (int i = 0; i < 21; ++i) large.push_back(FirstRequest(setting, false, &launches));
  munmap(memory, kSize);
  std::printf("launch to first answer: %.1f ms, with 4 GiB in the parent %.1f ms\n",
              Of(small).median / 1000, Of(large).median / 1000);
}

}  // namespace

int main(int argc, char** argv) {
  Setting setting;
  std::string wal;
  std::set<std::string> parts;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--wal" && i + 1 < argc) {
      wal = argv[++i];
    } else if (argument == "--module" && i + 1 < argc) {
      setting.worker.module = argv[++i];
    } else {
      parts.insert(argument);
    }
  }
  Result<BenchRequests> found = FindBenchRequests(wal);
  if (!found) Die(found.error().message);
  setting.short_raw = std::move(found->short_ones);
  setting.medium_raw = std::move(found->medium_ones);
  setting.short_ones = std::make_unique<Requests>(setting.short_raw);
  setting.medium_ones = std::make_unique<Requests>(setting.medium_raw);
  const auto wanted = [&](const char* part) { return parts.empty() || parts.contains(part); };
  if (wanted("lone")) Lone(setting);
  if (wanted("batch")) Batch(setting);
  if (wanted("flood")) Flood(setting);
  if (wanted("engine")) NativeEngine(setting);
  if (wanted("mix")) Mix(setting);
  if (wanted("spare")) Spare(setting);
  if (wanted("idle")) Idle(setting);
  if (wanted("parent")) Parent(setting);
  return 0;
}

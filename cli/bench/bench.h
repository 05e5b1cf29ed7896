// Measures a redo worker against a bare child that moves the same bytes over the same pipes, and
// the native engine against the worker.
#ifndef NEON_REDO_CLI_BENCH_BENCH_H_
#define NEON_REDO_CLI_BENCH_BENCH_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench/requests.h"
#include "neon_redo/error.h"
#include "neon_redo/native.h"
#include "neon_redo/worker.h"

namespace neon_redo {

struct BenchOptions {
  Engine engine = Engine::kAuto;  // kAuto: both
  WorkerOptions worker;
  std::string bare_program;       // absolute path of neon-redo-bare
  bool bare_writes_each = false;  // the bare child answers with a write each, not all that is ready
  std::optional<int> cpu;         // client, worker and bare child all run on it
  int runs = 21;                  // of each cell; medians are reported
  double seconds = 0.05;          // of one run
  int launches = 21;
};

// Microseconds, milliseconds or a ratio, over the runs.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};

// One kind of request at one depth.
struct BenchCell {
  std::string request;  // "ping", "short", "medium"
  size_t depth;         // requests in flight
  Spread worker;        // microseconds a request
  Spread bare;          // the same of the bare child
  Spread ratio;         // of the throughputs, worker to bare, run by run
};

// The native engine, in the same thread, without a pipe. CRC: with the check of the records' CRC,
// which a worker makes too and a WAL reader has made before.
struct NativeCell {
  std::string request;  // "short", "medium"
  Spread native;        // microseconds a request
  Spread native_crc;
  // Of the throughputs, native to worker, run by run; by requests that the worker has in flight.
  struct Ratio {
    size_t depth;
    Spread plain;
    Spread crc;
  };
  std::vector<Ratio> to_worker;  // empty without a worker
};

// Of the worker alone, in KiB, from /proc/PID/smaps_rollup.
struct MemoryUse {
  uint64_t private_kib = 0;       // only this process has it
  uint64_t dirty_kib = 0;         // of that: its own memory, not pages of files
  uint64_t proportional_kib = 0;  // and its share of what others have too
};

struct BenchReport {
  std::vector<BenchCell> cells;  // empty without a worker, as is what follows but for `native`
  std::vector<NativeCell> native;
  Spread launch_worker;  // milliseconds from nothing to the first answer
  Spread launch_bare;
  Spread launch_ratio;
  std::optional<MemoryUse> idle;  // after one ping; empty when it may not be read
  std::optional<MemoryUse> idle_bare;
  uint64_t requests = 0;              // that one worker answered during the throughput part
  std::optional<int64_t> growth_kib;  // of its own memory from a warm start to their end
};

// Called before each step with its name, and how many of how many are done.
using BenchProgress = std::function<void(const std::string&, uint64_t, uint64_t)>;

// Runs everything; the calling thread stays pinned. progress may be null. The first failed answer
// ends it: kWorker and so on. kInvalidArgument: the processor does not exist.
Result<BenchReport> RunBench(const BenchOptions& options, const BenchRequests& requests,
                             const BenchProgress& progress);

}  // namespace neon_redo

#endif  // NEON_REDO_CLI_BENCH_BENCH_H_

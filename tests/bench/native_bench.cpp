// The native engine on requests of real WAL (NEON_REDO_BENCH_WAL: a directory made by make_wal.py):
// whole requests as neon-redo bench sends them to a worker, in one thread, going round all that
// were found. With and without the CRC, which the WAL reader has verified already when records come
// from it.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

#include "cli/bench/requests.h"
#include "neon_redo/native.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

BenchRequests requests;

void Run(benchmark::State& state, const std::vector<BenchRequest>& kind, bool verify_crc) {
  const RequestViews views(kind);
  alignas(64) static uint8_t page[kBlockSize];
  RecordView view(kPg15);
  size_t next = 0;
  uint64_t records = 0, bytes = 0;
  for (auto _ : state) {
    const RedoRequest& request = views.requests()[next];
    bytes += kind[next].size;
    next = next + 1 == kind.size() ? 0 : next + 1;
    if (verify_crc) {
      for (const RedoRecord& record : request.records)
        if (!RecordView::VerifyCrc(record.record)) return state.SkipWithError("CRC");
    }
    const NativeRun run = ApplyNativeRun(request.tag, request.records, page, false, &view, nullptr);
    if (run.result != NativeResult::kApplied) return state.SkipWithError("not applied");
    benchmark::DoNotOptimize(page);
    benchmark::ClobberMemory();
    records += run.applied;
  }
  state.counters["records"] =
      benchmark::Counter(static_cast<double>(records), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}

void BM_NativeShort(benchmark::State& state) { Run(state, requests.short_ones, false); }
void BM_NativeShortCrc(benchmark::State& state) { Run(state, requests.short_ones, true); }
void BM_NativeMedium(benchmark::State& state) { Run(state, requests.medium_ones, false); }
void BM_NativeMediumCrc(benchmark::State& state) { Run(state, requests.medium_ones, true); }
BENCHMARK(BM_NativeShort);
BENCHMARK(BM_NativeShortCrc);
BENCHMARK(BM_NativeMedium);
BENCHMARK(BM_NativeMediumCrc);

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) {
  const char* wal = std::getenv("NEON_REDO_BENCH_WAL");
  if (wal == nullptr) {
    std::fprintf(stderr, "native_bench: set NEON_REDO_BENCH_WAL to a directory of make_wal.py\n");
    return 2;
  }
  auto found = neon_redo::FindBenchRequests(wal);
  if (!found) {
    std::fprintf(stderr, "native_bench: %s\n", found.error().message.c_str());
    return 2;
  }
  neon_redo::requests = std::move(*found);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}

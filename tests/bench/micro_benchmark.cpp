// The pieces that every record passes, on records of real WAL (NEON_REDO_BENCH_WAL: a directory
// made by make_wal.py).
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

#include "cli/bench/requests.h"
#include "cpp_core/redo/worker/out_queue.h"
#include "cpp_core/redo/worker/request_frames.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

const char* wal_directory;
BenchRequests requests;

// A heap insert of about 60 bytes.
Bytes SmallRecord() { return requests.medium_ones[0].bytes[1]; }
// A record with a full-page image of about 900 bytes without its hole.
Bytes ImageRecord() { return requests.short_ones[0].bytes[0]; }

void SetBytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
}

void BM_ParseRecord(benchmark::State& state, Bytes (*record)()) {
  RecordView view(kPg15);
  for (auto _ : state) benchmark::DoNotOptimize(view.Parse(record()));
  SetBytes(state, record().size());
}
BENCHMARK_CAPTURE(BM_ParseRecord, insert, SmallRecord);
BENCHMARK_CAPTURE(BM_ParseRecord, full_page_image, ImageRecord);

void BM_VerifyCrc(benchmark::State& state, Bytes (*record)()) {
  for (auto _ : state) benchmark::DoNotOptimize(RecordView::VerifyCrc(record()));
  SetBytes(state, record().size());
}
BENCHMARK_CAPTURE(BM_VerifyCrc, insert, SmallRecord);
BENCHMARK_CAPTURE(BM_VerifyCrc, full_page_image, ImageRecord);

void BM_RestoreImage(benchmark::State& state) {
  RecordView view(kPg15);
  if (view.Parse(ImageRecord()) || view.block(0) == nullptr) return state.SkipWithError("no image");
  uint8_t page[kBlockSize];
  for (auto _ : state) benchmark::DoNotOptimize(RestoreImage(*view.block(0), page));
  SetBytes(state, kBlockSize);
}
BENCHMARK(BM_RestoreImage);

void BM_QueueMediumRequest(benchmark::State& state) {
  const RequestViews views(requests.medium_ones);
  OutQueue queue;
  for (auto _ : state) {
    QueueRequest(views.requests()[0], &queue);
    benchmark::DoNotOptimize(queue.unsent());
    queue.Clear();
  }
  SetBytes(state, requests.medium_ones[0].size);
}
BENCHMARK(BM_QueueMediumRequest);

void BM_ReadWal(benchmark::State& state) {
  uint64_t bytes = 0;
  for (auto _ : state) {
    auto reader = WalReader::Open({{wal_directory}, std::nullopt, std::nullopt, std::nullopt});
    for (;;) {
      auto record = (*reader)->Next();
      if (!record || !*record) break;
    }
    bytes = (*reader)->bytes_read();
  }
  SetBytes(state, bytes);
}
BENCHMARK(BM_ReadWal);

int Main(int argc, char** argv) {
  wal_directory = std::getenv("NEON_REDO_BENCH_WAL");
  Result<BenchRequests> found = FindBenchRequests(wal_directory != nullptr ? wal_directory : "");
  if (!found) {
    std::fprintf(stderr, "NEON_REDO_BENCH_WAL: %s\n", found.error().message.c_str());
    return 2;
  }
  requests = std::move(*found);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) { return neon_redo::Main(argc, argv); }

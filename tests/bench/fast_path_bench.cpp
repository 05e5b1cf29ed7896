// Code that is written for speed, beside the plain code that does the same: what the first gains on
// this processor. Names end in Fast or Plain; a pair that is equal, twice in a row on a quiet
// machine, is a reason to drop the fast half. Tests hold the halves against each other:
// tests/unit/base_test.cpp (CRC), native_heap_test.cpp (runs of inserts), native_page_edit_test.cpp
// (compaction), pg_mask_test.cpp (masked comparison), manager_frame_queue_test.cpp (pipe).
//
//   build/tests/bench/fast_path_bench --benchmark_repetitions=9
//     --benchmark_enable_random_interleaving=true --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/redo/manager/frame_queue.h"
#include "cpp_core/redo/native/compact.h"
#include "cpp_core/redo/native/page_edit.h"
#include "tests/unit/native_record.h"

extern "C" {
// Of libpgport, as in cpp_core/base/crc32c.cpp.
extern uint32_t (*pg_comp_crc32c)(uint32_t crc, const void* data, size_t len);
}

namespace neon_redo {
namespace {

using native::KeptItems;
using native::LineCounts;
using testing::Fields;
using testing::RecordBuilder;
using testing::TestPage;

std::vector<uint8_t> RandomBytes(size_t length) {
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(length);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
  return bytes;
}

// CRC-32C: range(0) bytes.

template <typename Sum>
void RunCrc(benchmark::State& state, Sum sum) {
  const std::vector<uint8_t> bytes = RandomBytes(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(sum(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_CrcFast(benchmark::State& state) {
  RunCrc(state, [](Bytes bytes) { return Crc32cExtend(kCrc32cInit, bytes); });
}
// Three streams, without folding.
void BM_CrcStreamsFast(benchmark::State& state) {
  const bool folds = crc32c_folds;
  crc32c_folds = false;
  BM_CrcFast(state);
  crc32c_folds = folds;
}
void BM_CrcPlain(benchmark::State& state) {
  RunCrc(state,
         [](Bytes bytes) { return pg_comp_crc32c(kCrc32cInit, bytes.data(), bytes.size()); });
}
BENCHMARK(BM_CrcFast)->Arg(60)->Arg(900)->Arg(8192);
BENCHMARK(BM_CrcStreamsFast)->Arg(900)->Arg(8192);
BENCHMARK(BM_CrcPlain)->Arg(60)->Arg(900)->Arg(8192);

// A page filled by plain inserts, the first of which initialises it.

class Inserts {
 public:
  Inserts() {
    for (uint16_t n = 1; n <= 180; n++) {
      Fields data;
      data.U16(1).U16(0x0802).U8(24).U8(0).Text("0123456");
      bytes_.push_back(RecordBuilder(kRmHeap, n == 1 ? 0x80 : 0)
                           .Block(0, 3, data, n == 1)
                           .Main(Fields().U16(n).U8(0))
                           .Bytes());
    }
    for (size_t i = 0; i < bytes_.size(); i++) records_.push_back({Lsn(100 + i), bytes_[i]});
  }
  const std::vector<RedoRecord>& records() const { return records_; }

 private:
  std::vector<std::vector<uint8_t>> bytes_;
  std::vector<RedoRecord> records_;
};

void BM_InsertsFast(benchmark::State& state) {
  const Inserts inserts;
  TestPage page;
  RecordView view(kPg15);
  for (auto _ : state) {
    const NativeRun run = ApplyNativeRun({testing::kRel, kMainFork, 3}, inserts.records(),
                                         page.bytes, false, &view, nullptr);
    if (run.result != NativeResult::kApplied) return state.SkipWithError("not applied");
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(inserts.records().size()));
}
void BM_InsertsPlain(benchmark::State& state) {
  const Inserts inserts;
  TestPage page;
  RecordView view(kPg15);
  for (auto _ : state) {
    bool have_page = false;
    for (const RedoRecord& record : inserts.records()) {
      if (view.Parse(record.record) ||
          ApplyNative(view, 0, record.end, page.bytes, have_page) != NativeResult::kApplied)
        return state.SkipWithError("not applied");
      have_page = true;
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(inserts.records().size()));
}
BENCHMARK(BM_InsertsFast);
BENCHMARK(BM_InsertsPlain);

// A heap page of tuples of 40 bytes, a third of which are gone.

TestPage PageWithGaps() {
  std::mt19937 random(2);
  TestPage page;
  native::InitPage(page.bytes, 0);
  constexpr uint32_t kLines = 180, kLength = 40;
  native::SetLower(page.bytes, native::kHeaderSize + 4 * kLines);
  for (uint32_t n = 1; n <= kLines; n++) {
    const uint32_t at = kBlockSize - kLength * n;
    if (random() % 3 == 0)
      native::PutLinePointer(page.bytes, n, 0, random() % 2 ? kLpUnused : kLpDead, 0);
    else
      native::PutLinePointer(page.bytes, n, at, kLpNormal, kLength);
    native::SetUpper(page.bytes, at);
  }
  return page;
}

void BM_GatherFast(benchmark::State& state) {
  TestPage page = PageWithGaps();
  for (auto _ : state) {
    KeptItems kept(page.bytes);
    LineCounts counts;
    benchmark::DoNotOptimize(native::GatherItems(page.bytes, &kept, &counts));
  }
}
void BM_GatherPlain(benchmark::State& state) {
  TestPage page = PageWithGaps();
  for (auto _ : state) {
    KeptItems kept(page.bytes);
    LineCounts counts;
    benchmark::DoNotOptimize(native::GatherItemsOneByOne(page.bytes, &kept, &counts));
  }
}
BENCHMARK(BM_GatherFast);
BENCHMARK(BM_GatherPlain);

void BM_CompactFast(benchmark::State& state) {
  const TestPage original = PageWithGaps();
  for (auto _ : state) {
    TestPage page = original;
    KeptItems kept(page.bytes);
    LineCounts counts;
    benchmark::DoNotOptimize(native::GatherItems(page.bytes, &kept, &counts) &&
                             native::Compact(page.bytes, kept));
    benchmark::ClobberMemory();
  }
}
// Each tuple by itself, from its line pointer, as compactify_tuples does when they are in order.
void BM_CompactPlain(benchmark::State& state) {
  const TestPage original = PageWithGaps();
  for (auto _ : state) {
    TestPage page = original;
    KeptItems kept(page.bytes);
    LineCounts counts;
    benchmark::DoNotOptimize(native::GatherItemsOneByOne(page.bytes, &kept, &counts));
    uint32_t to = kept.special;
    for (uint32_t i = 0; i < kept.count; i++) {
      const LinePointer lp = native::GetLinePointer(page.bytes, kept.index[i] + 1u);
      to -= kept.length[i];
      std::memmove(page.bytes + to, page.bytes + lp.offset(), kept.length[i]);
      native::PutLinePointer(page.bytes, kept.index[i] + 1u, to, lp.flags(), lp.length());
    }
    native::SetUpper(page.bytes, to);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_CompactFast);
BENCHMARK(BM_CompactPlain);

// Two heap pages that differ in the hint bits of every eighth tuple.

struct HintedPages {
  HintedPages() {
    a = PageWithGaps();
    b = a;
    for (uint32_t n = 1; n <= native::MaxOffset(b.bytes); n += 8) {
      const LinePointer lp = native::GetLinePointer(b.bytes, n);
      if (lp.length() != 0) b.bytes[lp.offset() + 21] ^= 0x01;  // HEAP_XMIN_COMMITTED
    }
  }
  TestPage a, b;
};

void BM_MaskedCompareFast(benchmark::State& state) {
  const HintedPages pages;
  for (auto _ : state) {
    if (!AreEqualMasked(kRmHeap, pages.a.bytes, pages.b.bytes, 3))
      return state.SkipWithError("not equal");
  }
}
void BM_MaskedComparePlain(benchmark::State& state) {
  const HintedPages pages;
  for (auto _ : state) {
    HintedPages copy = pages;
    for (TestPage* page : {&copy.a, &copy.b}) {
      MaskUnlogged(kRmHeap, page->bytes, 3);
      MaskPage(kRmHeap, page->bytes, 3);
    }
    if (std::memcmp(copy.a.bytes, copy.b.bytes, kBlockSize) != 0)
      return state.SkipWithError("not equal");
  }
}
BENCHMARK(BM_MaskedCompareFast);
BENCHMARK(BM_MaskedComparePlain);

// range(0) bytes through a pipe, filled, sent and read.

struct Pipe {
  Pipe() {
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) std::abort();
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  int ends[2];
};

void BM_PipeFast(benchmark::State& state) {
  const auto n = static_cast<size_t>(state.range(0));
  const std::vector<uint8_t> from = RandomBytes(n);
  std::vector<uint8_t> to(n);
  Pipe pipe;
  FrameQueue queue;
  for (auto _ : state) {
    std::memcpy(queue.Grow(n), from.data(), n);
    queue.Send(pipe.ends[1]);
    size_t got = 0;
    while (got < n) {
      const ssize_t piece = read(pipe.ends[0], to.data() + got, n - got);
      if (piece > 0)
        got += static_cast<size_t>(piece);
      else
        queue.Send(pipe.ends[1]);
    }
    queue.HasRead(queue.queued());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void BM_PipePlain(benchmark::State& state) {
  const auto n = static_cast<size_t>(state.range(0));
  const std::vector<uint8_t> from = RandomBytes(n);
  std::vector<uint8_t> queue(n), to(n);
  Pipe pipe;
  for (auto _ : state) {
    std::memcpy(queue.data(), from.data(), n);
    size_t sent = 0, got = 0;
    while (got < n) {
      if (sent < n) {
        const ssize_t piece = write(pipe.ends[1], queue.data() + sent, n - sent);
        if (piece > 0) sent += static_cast<size_t>(piece);
      }
      const ssize_t piece = read(pipe.ends[0], to.data() + got, n - got);
      if (piece > 0) got += static_cast<size_t>(piece);
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_PipeFast)->Arg(4 << 10)->Arg(16 << 10)->Arg(64 << 10);
BENCHMARK(BM_PipePlain)->Arg(4 << 10)->Arg(16 << 10)->Arg(64 << 10);

}  // namespace
}  // namespace neon_redo

BENCHMARK_MAIN();

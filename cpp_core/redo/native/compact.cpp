// Plain code: GatherItemsOneByOne, and LaidOut in tests/unit/native_page_edit_test.cpp, which holds
// this code against both. Benchmarks: BM_Gather, BM_Compact in tests/bench/fast_path_bench.cpp.
//
// The server gathers what stays, then moves tuple after tuple. Here the first half looks at sixteen
// line pointers at a time, where the processor can (AVX-512): which of them are unused, redirects
// or tuples is as good as random, and a branch on it is a wrong guess every other time. The second
// half moves tuples that are neighbours before, and so afterwards too, together: most pages have a
// gap or two.
#include "cpp_core/redo/native/compact.h"

#if defined(__x86_64__)
#ifndef __clang__
// GCC 12 takes the intrinsics' own "undefined" vectors for a mistake (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#endif

namespace neon_redo::native {

namespace {

// Between buffers that do not overlap, in whole lines, where room and alignment allow for them.
// Quicker than the library's rep movsb, whose stores the loads that follow have to wait for.
inline void CopyLines(uint8_t* to, const uint8_t* from, uint32_t begin, uint32_t end) {
  constexpr uint32_t kLine = 64;
  for (uint32_t at = begin / kLine * kLine; at < end; at += kLine)
    std::memcpy(to + at, from + at, kLine);
}

// How many items from i on are joined to the one before each.
inline uint32_t CountJoined(const KeptItems& kept, uint32_t i) {
  const uint32_t first = i;
  while (i < kept.count) {
    const uint64_t broken = ~(kept.joined[i / 64] >> i % 64);
    const auto here = static_cast<uint32_t>(broken == 0 ? 64 : __builtin_ctzll(broken));
    i += here < 64 - i % 64 ? here : 64 - i % 64;
    if (i % 64 != 0 || here == 0) break;
  }
  return i - first;
}

#if defined(__x86_64__)

const bool kHasWideInstructions = __builtin_cpu_supports("avx512f");

[[gnu::target("avx512f")]] inline __m512i Same(uint32_t v) {
  return _mm512_set1_epi32(static_cast<int>(v));
}

[[gnu::target("avx512f")]] inline void Put(uint16_t* to, __m512i from) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(from));
}

[[gnu::target("avx512f")]] bool GatherWide(uint8_t* page, KeptItems* kept, LineCounts* counts) {
  const uint32_t lines = MaxOffset(page);
  __m512i previous = Same(kept->special), total = Same(0);
  __m512i number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  uint32_t disorder = 0, overlaps = 0, count = 0;
  for (uint32_t n = 0; n < lines; n += 16, number = _mm512_add_epi32(number, Same(16))) {
    uint8_t* const at = LinePointerAt(page, n + 1);
    const auto here = static_cast<__mmask16>(lines - n >= 16 ? 0xffff : (1 << (lines - n)) - 1);
    const __m512i bits = _mm512_maskz_loadu_epi32(here, at);
    const __mmask16 used = _mm512_test_epi32_mask(bits, Same(0x18000));  // lp_flags
    const auto unused = static_cast<__mmask16>(here & ~used);
    if (unused != 0) _mm512_mask_storeu_epi32(at, unused, Same(0));
    counts->unused += static_cast<uint32_t>(__builtin_popcount(unused));
    if (used != 0) counts->last_used = n + 32 - static_cast<uint32_t>(__builtin_clz(used));

    const __m512i stored = _mm512_srli_epi32(bits, 17);  // lp_len
    const __mmask16 keep = _mm512_mask_test_epi32_mask(used, stored, stored);
    const __m512i offset = _mm512_maskz_compress_epi32(keep, _mm512_and_epi32(bits, Same(0x7fff)));
    const __m512i length = _mm512_maskz_compress_epi32(
        keep, _mm512_andnot_epi32(Same(7), _mm512_add_epi32(stored, Same(7))));
    const __m512i end = _mm512_add_epi32(offset, length);
    const auto kept_here = static_cast<uint32_t>(__builtin_popcount(keep));
    const auto lanes = static_cast<__mmask16>((uint32_t{1} << kept_here) - 1);
    if (_mm512_mask_cmplt_epu32_mask(lanes, offset, Same(kept->upper)) |
        _mm512_mask_test_epi32_mask(lanes, offset, Same(7)) |
        _mm512_mask_cmpgt_epu32_mask(lanes, end, Same(kept->special)))
      return false;
    total = _mm512_add_epi32(total, length);

    const __m512i before = _mm512_alignr_epi32(offset, previous, 15);
    disorder |= _mm512_mask_cmpge_epu32_mask(lanes, offset, before);
    overlaps |= _mm512_mask_cmpgt_epu32_mask(lanes, end, before);
    const uint64_t joined = _mm512_mask_cmpeq_epi32_mask(lanes, end, before);
    kept->joined[count / 64] |= joined << count % 64;
    if (count % 64 > 48) kept->joined[count / 64 + 1] |= joined >> (64 - count % 64);
    if (kept_here > 0) previous = _mm512_permutexvar_epi32(Same(kept_here - 1), offset);

    Put(kept->offset + count, offset);
    Put(kept->length + count, length);
    Put(kept->index + count, _mm512_maskz_compress_epi32(keep, number));
    count += kept_here;
  }
  kept->count = count;
  kept->total = static_cast<uint32_t>(_mm512_reduce_add_epi32(total));
  kept->in_order = disorder == 0;
  kept->overlaps = overlaps != 0;
  return true;
}

#endif

}  // namespace

bool KeptItems::Keep(LinePointer lp, uint32_t number) {
  const uint32_t aligned = MaxAlign(lp.length()), end = lp.offset() + aligned;
  if (lp.offset() < upper || lp.offset() % 8 != 0 || end > special) return false;
  in_order &= lp.offset() < previous;
  overlaps |= end > previous;
  joined[count / 64] |= uint64_t{end == previous} << count % 64;
  previous = lp.offset();
  total += aligned;
  offset[count] = static_cast<uint16_t>(lp.offset());
  length[count] = static_cast<uint16_t>(aligned);
  index[count++] = static_cast<uint16_t>(number);
  return true;
}

bool GatherItemsOneByOne(uint8_t* page, KeptItems* kept, LineCounts* counts) {
  const uint32_t lines = MaxOffset(page);
  for (uint32_t n = 1; n <= lines; n++) {
    const LinePointer lp = GetLinePointer(page, n);
    if (lp.flags() == kLpUnused) {
      PutLinePointer(page, n, 0, kLpUnused, 0);
      counts->unused++;
      continue;
    }
    counts->last_used = n;
    if (lp.length() != 0 && !kept->Keep(lp, n - 1)) return false;
  }
  return true;
}

bool GatherItems(uint8_t* page, KeptItems* kept, LineCounts* counts) {
#if defined(__x86_64__)
  if (kHasWideInstructions) return GatherWide(page, kept, counts);
#endif
  return GatherItemsOneByOne(page, kept, counts);
}

bool Compact(uint8_t* page, const KeptItems& kept) {
  uint32_t i = CountJoined(kept, 0);  // in place already
  uint32_t to = i == 0 ? kept.special : kept.offset[i - 1];
  const uint32_t moved_end = to;
  alignas(64) uint8_t copy[kPageSize];
  const uint8_t* from = page;
  if (!kept.in_order) {
    CopyLines(copy, page, kept.upper, moved_end);
    from = copy;
  }
  while (i < kept.count) {
    const uint32_t end = uint32_t{kept.offset[i]} + kept.length[i];
    // Out of order, the server has saved no more than this of the tuples.
    if (end > moved_end) return false;
    const uint32_t next = i + 1 + CountJoined(kept, i + 1);
    const uint32_t begin = kept.offset[next - 1];
    const uint32_t distance = to - end;  // mod 2^32
    for (; i < next; i++) {
      uint8_t* lp = LinePointerAt(page, kept.index[i] + 1u);
      Put32(lp, Get32(lp) + distance);  // the offset is in the lowest bits, and stays in them
    }
    to -= end - begin;
    std::memmove(page + to, from + begin, end - begin);
  }
  SetUpper(page, to);
  return true;
}

}  // namespace neon_redo::native

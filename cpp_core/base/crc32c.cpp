// Plain code: pg_comp_crc32c of libpgport. Test: Crc32c in tests/unit/base_test.cpp, against the
// definition. Benchmark: BM_Crc in tests/bench/fast_path_bench.cpp.
//
// The processor's crc32 instruction takes eight bytes a cycle but answers three cycles later, so
// one chain of them runs at a third of its speed. A longer buffer is therefore cut into three
// streams whose chains run side by side, and the three sums are put together: a CRC is a remainder
// of polynomials, and appending n bytes to a buffer multiplies its remainder by x^(8n), which a
// carry-less multiplication by a constant and one more crc32 do (V. Gopal and others, "Fast CRC
// Computation for iSCSI Polynomial Using CRC32 Instruction", Intel, 2011).
//
// The constant: bits are reflected, so a 32-bit register holds x^31 in its bit 0, the product of
// two of them is short of its place by one bit, and the crc32 instruction multiplies by x^32
// itself. Hence x^(8n - 33).
//
// A long buffer is folded, where the processor multiplies four pairs of words at once
// (VPCLMULQDQ): 256 bytes are held in registers as they are, multiplied by x^2048, which leaves
// 96 bits of each word and so fits where it was, and added to the next 256; at the end the lanes
// are folded onto the last in the same way, and two crc32 take its 16 bytes. The product of a
// word and a constant is short of its place by 33 bits here too, so the constants are the same.
#include "cpp_core/base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "neon_redo/record.h"

extern "C" {
// From libpgport. On x86-64 pg_comp_crc32c is a pointer that the first call points at the SSE 4.2
// or the table version (port/pg_crc32c.h: USE_SSE42_CRC32C_WITH_RUNTIME_CHECK).
extern uint32_t (*pg_comp_crc32c)(uint32_t crc, const void* data, size_t len);
}

namespace neon_redo {

namespace {

constexpr size_t kHeaderSize = 24;  // SizeOfXLogRecord
constexpr size_t kCrcOffset = 20;   // offsetof(XLogRecord, xl_crc)

#if defined(__x86_64__)

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, reflected

// Streams of up to this many eight-byte words; then the sums are put together.
constexpr size_t kMaxWords = 128;
constexpr size_t kMinWords = 4;  // below, one chain is as fast

// [n]: x^(64n - 33), for n from 1 to twice the words of a stream.
constexpr std::array<uint32_t, 2 * kMaxWords + 1> MakeShifts() {
  std::array<uint32_t, 2 * kMaxWords + 1> shifts{};
  uint32_t v = 1;  // x^31
  for (size_t n = 1; n < shifts.size(); n++) {
    shifts[n] = v;
    for (int bit = 0; bit < 64; bit++) v = v >> 1 ^ (v & 1 ? kPolynomial : 0);
  }
  return shifts;
}
constexpr std::array<uint32_t, 2 * kMaxWords + 1> kShifts = MakeShifts();

// The sum after that many more words of zeroes.
[[gnu::target("sse4.2,pclmul")]] inline uint64_t AppendZeroes(uint64_t crc, size_t words) {
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(crc)),
                           _mm_cvtsi32_si128(static_cast<int>(kShifts[words])), 0);
  return _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product)));
}

// The sum after the last length < 8 bytes before end; there are 8 bytes before end. No branches:
// lengths of records are as good as random, and a wrong guess costs more than all of this. The
// bytes, with the sum's own bytes that they meet, are moved to the top of a word whose other bytes
// are zero: those leave a sum of 0 as it is.
[[gnu::target("sse4.2")]] inline uint32_t AppendTail(uint64_t crc, const uint8_t* end,
                                                     size_t length) {
  const size_t unused = 8 * (7 - length);  // bits, but for 8: a shift by 64 is not defined
  const uint64_t bytes = LoadNative<uint64_t>(end - 8) & (~uint64_t{0} << unused) << 8;
  const uint64_t met = crc << unused << 8;
  return static_cast<uint32_t>((crc >> 8 * length) ^ _mm_crc32_u64(0, bytes ^ met));
}

// Buffers from this length on are folded where the processor can.
constexpr size_t kMinFolded = 512;
constexpr size_t kFoldedAtOnce = 256;

// For _mm512_clmulepi64_epi128: for each of four lanes the factors of its first and its second word
// that move it behind by that many words.
struct alignas(64) FoldFactors {
  uint64_t words[8];
};
constexpr FoldFactors FoldBy(size_t lane0, size_t lane1, size_t lane2, size_t lane3) {
  return {{kShifts[lane0 + 1], kShifts[lane0], kShifts[lane1 + 1], kShifts[lane1],
           kShifts[lane2 + 1], kShifts[lane2], kShifts[lane3 + 1], kShifts[lane3]}};
}
constexpr FoldFactors kFold256 = FoldBy(32, 32, 32, 32);
constexpr FoldFactors kFold64 = FoldBy(8, 8, 8, 8);
// Of the three lanes onto the last, which stays where it is.
constexpr FoldFactors kFoldLanes = {
    {kShifts[7], kShifts[6], kShifts[5], kShifts[4], kShifts[3], kShifts[2], 0, 0}};

[[gnu::target("avx512f,vpclmulqdq")]] inline __m512i Fold(__m512i sum, const FoldFactors& factors,
                                                          __m512i next) {
  const __m512i by = _mm512_load_si512(&factors);
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(sum, by, 0x00),
                                   _mm512_clmulepi64_epi128(sum, by, 0x11), next, 0x96);
}

// The sum after length bytes, a multiple of kFoldedAtOnce and not 0.
[[gnu::target("avx512f,vpclmulqdq,sse4.2,pclmul"), gnu::noinline]] uint64_t ExtendByFolding(
    uint32_t crc, const uint8_t* p, size_t length) {
  const uint8_t* const end = p + length;
  __m512i a = _mm512_xor_si512(_mm512_loadu_si512(p),
                               _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(crc))));
  __m512i b = _mm512_loadu_si512(p + 64);
  __m512i c = _mm512_loadu_si512(p + 128);
  __m512i d = _mm512_loadu_si512(p + 192);
  for (p += kFoldedAtOnce; p != end; p += kFoldedAtOnce) {
    a = Fold(a, kFold256, _mm512_loadu_si512(p));
    b = Fold(b, kFold256, _mm512_loadu_si512(p + 64));
    c = Fold(c, kFold256, _mm512_loadu_si512(p + 128));
    d = Fold(d, kFold256, _mm512_loadu_si512(p + 192));
  }
  const __m512i sum = Fold(Fold(Fold(a, kFold64, b), kFold64, c), kFold64, d);
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, Fold(sum, kFoldLanes, _mm512_maskz_mov_epi64(0xc0, sum)));
  return _mm_crc32_u64(_mm_crc32_u64(0, lanes[0] ^ lanes[2] ^ lanes[4] ^ lanes[6]),
                       lanes[1] ^ lanes[3] ^ lanes[5] ^ lanes[7]);
}

const bool kHasInstructions = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
const bool kHasWideInstructions =
    kHasInstructions && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");

// At least 8 bytes before p + length can be read.
[[gnu::target("sse4.2,pclmul")]] inline uint32_t Extend(uint32_t crc, const uint8_t* p,
                                                        size_t length) {
  uint64_t a = crc;
  if (length >= kMinFolded && crc32c_folds) {
    const size_t folded = length & ~(kFoldedAtOnce - 1);
    a = ExtendByFolding(crc, p, folded);
    p += folded;
    length -= folded;
  }
  while (length >= 3 * 8 * kMinWords) {
    const size_t words = length / 24 < kMaxWords ? length / 24 : kMaxWords;
    const uint8_t* const q = p + 8 * words;
    const uint8_t* const r = q + 8 * words;
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t at = 0; at < 8 * words; at += 8) {
      a = _mm_crc32_u64(a, LoadNative<uint64_t>(p + at));
      b = _mm_crc32_u64(b, LoadNative<uint64_t>(q + at));
      c = _mm_crc32_u64(c, LoadNative<uint64_t>(r + at));
    }
    a = AppendZeroes(a, 2 * words) ^ AppendZeroes(b, words) ^ c;
    p += 24 * words;
    length -= 24 * words;
  }
  for (; length >= 8; p += 8, length -= 8) a = _mm_crc32_u64(a, LoadNative<uint64_t>(p));
  return AppendTail(a, p + length, length);
}

// The header's front, after everything else, is two words and a half.
[[gnu::target("sse4.2,pclmul")]] uint32_t SumOfRecord(const uint8_t* p, size_t length) {
  const uint32_t crc = Extend(kCrc32cInit, p + kHeaderSize, length - kHeaderSize);
  uint64_t sum = _mm_crc32_u64(crc, LoadNative<uint64_t>(p));
  sum = _mm_crc32_u64(sum, LoadNative<uint64_t>(p + 8));
  return Crc32cFinish(_mm_crc32_u32(static_cast<uint32_t>(sum), LoadNative<uint32_t>(p + 16)));
}

#else

constexpr bool kHasWideInstructions = false;

#endif

}  // namespace

bool crc32c_folds = kHasWideInstructions;

uint32_t Crc32cExtend(uint32_t crc, Bytes bytes) {
#if defined(__x86_64__)
  if (kHasInstructions && bytes.size() >= 8) [[likely]]
    return Extend(crc, bytes.data(), bytes.size());
#endif
  return pg_comp_crc32c(crc, bytes.data(), bytes.size());
}

uint32_t RecordCrc32c(Bytes record) {
#if defined(__x86_64__)
  if (kHasInstructions) [[likely]]
    return SumOfRecord(record.data(), record.size());
#endif
  const uint32_t crc = Crc32cExtend(kCrc32cInit, record.subspan(kHeaderSize));
  return Crc32cFinish(Crc32cExtend(crc, record.first(kCrcOffset)));
}

}  // namespace neon_redo

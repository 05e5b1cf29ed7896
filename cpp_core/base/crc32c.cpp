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
#include "cpp_core/base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

[[gnu::target("sse4.2,pclmul")]] inline uint32_t ExtendInThreeStreams(uint32_t crc,
                                                                      const uint8_t* p,
                                                                      size_t length) {
  uint64_t a = crc;
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
  auto sum = static_cast<uint32_t>(a);
  if (length & 4) {
    sum = _mm_crc32_u32(sum, LoadNative<uint32_t>(p));
    p += 4;
  }
  if (length & 2) {
    sum = _mm_crc32_u16(sum, LoadNative<uint16_t>(p));
    p += 2;
  }
  if (length & 1) sum = _mm_crc32_u8(sum, *p);
  return sum;
}

// The header's front, after everything else, is two words and a half.
[[gnu::target("sse4.2,pclmul")]] uint32_t RecordInThreeStreams(const uint8_t* p, size_t length) {
  const uint32_t crc = ExtendInThreeStreams(kCrc32cInit, p + kHeaderSize, length - kHeaderSize);
  uint64_t sum = _mm_crc32_u64(crc, LoadNative<uint64_t>(p));
  sum = _mm_crc32_u64(sum, LoadNative<uint64_t>(p + 8));
  return _mm_crc32_u32(static_cast<uint32_t>(sum), LoadNative<uint32_t>(p + 16));
}

const bool kHasInstructions = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");

#endif

}  // namespace

uint32_t Crc32cExtend(uint32_t crc, Bytes bytes) {
#if defined(__x86_64__)
  if (kHasInstructions) [[likely]]
    return ExtendInThreeStreams(crc, bytes.data(), bytes.size());
#endif
  return pg_comp_crc32c(crc, bytes.data(), bytes.size());
}

uint32_t RecordCrc32c(Bytes record) {
#if defined(__x86_64__)
  if (kHasInstructions) [[likely]]
    return Crc32cFinish(RecordInThreeStreams(record.data(), record.size()));
#endif
  const uint32_t crc = Crc32cExtend(kCrc32cInit, record.subspan(kHeaderSize));
  return Crc32cFinish(Crc32cExtend(crc, record.first(kCrcOffset)));
}

}  // namespace neon_redo

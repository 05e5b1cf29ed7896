// Fixed-width integers in byte buffers, and a bounds-checked cursor. Bytes from outside (WAL, pipe,
// files) are read through ByteReader and nothing else. Nothing here allocates or throws, since
// neon.so includes it inside PostgreSQL. All functions are thread-safe.
#ifndef NEON_REDO_BYTES_H_
#define NEON_REDO_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace neon_redo {

// A view: it owns nothing.
using Bytes = std::span<const uint8_t>;

// Native (in WAL and pages: the writing server's) byte order, any alignment.
template <typename T>
inline T LoadNative(const void* p) {
  static_assert(std::is_trivially_copyable_v<T>);
  T v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// Big-endian ("network") order, any alignment.
inline uint32_t LoadBe32(const void* p) { return __builtin_bswap32(LoadNative<uint32_t>(p)); }
inline uint64_t LoadBe64(const void* p) { return __builtin_bswap64(LoadNative<uint64_t>(p)); }
inline void StoreBe32(void* p, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof(v));
}
inline void StoreBe64(void* p, uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, sizeof(v));
}

// Reads forward over bytes it does not own. A read that does not fit returns false and moves
// nothing; the cursor never leaves the span.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : p_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  size_t remaining() const { return static_cast<size_t>(end_ - p_); }
  const uint8_t* position() const { return p_; }

  // Native byte order.
  template <typename T>
  bool Read(T* out) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (remaining() < sizeof(T)) return false;
    std::memcpy(out, p_, sizeof(T));
    p_ += sizeof(T);
    return true;
  }

  // A view of the next n bytes; it lives as long as the bytes the reader was made from.
  bool ReadBytes(size_t n, Bytes* out) {
    if (remaining() < n) return false;
    *out = Bytes(p_, n);
    p_ += n;
    return true;
  }

  bool Skip(size_t n) {
    if (remaining() < n) return false;
    p_ += n;
    return true;
  }

 private:
  const uint8_t* p_;
  const uint8_t* end_;
};

// Copies between buffers that do not overlap; quicker than a call for the lengths of tuples and
// records.
inline void CopyBytes(uint8_t* to, const uint8_t* from, size_t n) {
  if (n - 16 <= 240) {
    size_t at = 0;
    for (; at + 16 <= n; at += 16) std::memcpy(to + at, from + at, 16);
    std::memcpy(to + n - 16, from + n - 16, 16);
  } else {
    std::memcpy(to, from, n);
  }
}

}  // namespace neon_redo

#endif  // NEON_REDO_BYTES_H_

// LSN: a byte position in the write-ahead log (XLogRecPtr in access/xlogdefs.h).
#ifndef NEON_REDO_LSN_H_
#define NEON_REDO_LSN_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "neon_redo/error.h"

namespace neon_redo {

// A value type; 0 is PostgreSQL's InvalidXLogRecPtr.
struct Lsn {
  uint64_t value = 0;

  constexpr Lsn() = default;
  constexpr explicit Lsn(uint64_t v) : value(v) {}

  constexpr bool valid() const { return value != 0; }
  constexpr auto operator<=>(const Lsn&) const = default;
  constexpr Lsn operator+(uint64_t bytes) const { return Lsn(value + bytes); }
  constexpr uint64_t operator-(Lsn other) const { return value - other.value; }

  // PostgreSQL's text form, "16/B374D848": both halves in upper-case hexadecimal, no padding.
  std::string ToString() const;

  // Reads exactly the form of pg_lsn_in: one to eight hexadecimal digits, a slash, one to eight
  // more, nothing before or after. kInvalidArgument otherwise; the message quotes the text.
  static Result<Lsn> Parse(std::string_view text);
};

}  // namespace neon_redo

#endif  // NEON_REDO_LSN_H_

// LSN: a byte position in the write-ahead log (XLogRecPtr in access/xlogdefs.h).
//
// A value of 8 bytes, to be copied freely. All functions are thread-safe.
//
//   neon_redo::Result<neon_redo::Lsn> lsn = neon_redo::Lsn::Parse("16/B374D848");
//   if (lsn) std::cout << lsn->ToString();
#ifndef NEON_REDO_LSN_H_
#define NEON_REDO_LSN_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "neon_redo/error.h"

namespace neon_redo {

struct Lsn {
  uint64_t value = 0;  // bytes since the start of WAL; 0 is PostgreSQL's InvalidXLogRecPtr

  constexpr Lsn() = default;
  constexpr explicit Lsn(uint64_t v) : value(v) {}

  constexpr bool valid() const { return value != 0; }
  constexpr auto operator<=>(const Lsn&) const = default;
  constexpr Lsn operator+(uint64_t bytes) const { return Lsn(value + bytes); }
  // The distance in bytes; other must not be greater.
  constexpr uint64_t operator-(Lsn other) const { return value - other.value; }

  // PostgreSQL's text form, "16/B374D848": both halves in upper-case hexadecimal without padding.
  std::string ToString() const;

  // Reads the form that pg_lsn_in takes: one to eight hexadecimal digits, a slash, one to eight
  // more, and nothing before or after. kInvalidArgument otherwise; the message quotes the text.
  static Result<Lsn> Parse(std::string_view text);
};

}  // namespace neon_redo

#endif  // NEON_REDO_LSN_H_

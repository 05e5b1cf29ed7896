#include "neon_redo/lsn.h"

#include <fmt/format.h>

#include <charconv>

namespace neon_redo {

namespace {

// One half of an LSN: 1 to 8 hexadecimal digits and nothing else. from_chars takes no sign for
// unsigned types and no "0x", so the length check is all that is left to do.
bool ParseHalf(std::string_view text, uint32_t* out) {
  if (text.empty() || text.size() > 8) return false;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, *out, 16);
  return error == std::errc() && stop == end;
}

}  // namespace

std::string Lsn::ToString() const {
  return fmt::format("{:X}/{:X}", value >> 32, value & 0xffffffffu);
}

Result<Lsn> Lsn::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  uint32_t high = 0;
  uint32_t low = 0;
  if (slash == std::string_view::npos || !ParseHalf(text.substr(0, slash), &high) ||
      !ParseHalf(text.substr(slash + 1), &low)) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("invalid LSN \"{}\": expected two hexadecimal numbers of up to eight digits "
                    "with a slash between them, as in 16/B374D848",
                    text));
  }
  return Lsn(uint64_t{high} << 32 | low);
}

}  // namespace neon_redo

#include "cpp_core/base/number.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>

namespace neon_redo {

namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr Unit kSizeUnits[] = {{"b", 1},
                               {"kb", 1024.0},
                               {"mb", 1024.0 * 1024},
                               {"gb", 1024.0 * 1024 * 1024},
                               {"tb", 1024.0 * 1024 * 1024 * 1024}};
constexpr Unit kTimeUnits[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
                               {"min", 60},  {"h", 3600},  {"d", 86400}};

// A number that is not negative, and the text after it without leading spaces.
struct Quantity {
  double number;
  std::string unit;  // in lower case
};

std::optional<Quantity> SplitQuantity(std::string_view text) {
  // from_chars would take "inf" and "nan".
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  Quantity out{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] =
      std::from_chars(text.data(), end, out.number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  const char* const unit = std::find_if(stop, end, [](char c) { return c != ' '; });
  std::transform(unit, end, std::back_inserter(out.unit),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

template <size_t N>
const Unit* FindUnit(const Unit (&units)[N], std::string_view name) {
  const auto* const found = std::find_if(std::begin(units), std::end(units),
                                         [&](const Unit& u) { return u.name == name; });
  return found == std::end(units) ? nullptr : found;
}

tl::unexpected<Error> Refuse(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

}  // namespace

Result<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool too_large = error == std::errc::result_out_of_range && stop == end;
  if (!too_large && (error != std::errc() || stop != end)) return Refuse("it must be an integer");
  if (too_large || value < min || value > max)
    return Refuse(fmt::format("it must be between {} and {}", min, max));
  return value;
}

Result<uint64_t> ParseSize(std::string_view text) {
  const auto quantity = SplitQuantity(text);
  if (!quantity) return Refuse("it must be a size, such as 512MB");
  if (quantity->unit.empty())
    return Refuse(fmt::format("the unit is missing; write {0}kB, {0}MB or {0}GB", text));
  const Unit* const unit = FindUnit(kSizeUnits, quantity->unit);
  if (unit == nullptr) return Refuse("valid units are B, kB, MB, GB and TB, as in 512MB");
  const double bytes = quantity->number * unit->factor;
  if (bytes >= 0x1p63) return Refuse("it must be less than 8388608TB");
  return static_cast<uint64_t>(bytes);
}

Result<std::chrono::duration<double>> ParseDuration(std::string_view text) {
  const auto quantity = SplitQuantity(text);
  if (!quantity) return Refuse("it must be a number of seconds, or have a unit as in 500ms");
  const Unit* const unit = FindUnit(kTimeUnits, quantity->unit.empty() ? "s" : quantity->unit);
  if (unit == nullptr) return Refuse("valid units are us, ms, s, min, h and d, as in 500ms");
  const double seconds = quantity->number * unit->factor;
  // What every clock can still add to its time.
  if (seconds > 100.0 * 365 * 86400) return Refuse("it must be at most 36500d");
  return std::chrono::duration<double>(seconds);
}

std::optional<std::string> FromHex(std::string_view text) {
  const auto value = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t at = 0; at < text.size(); at += 2) {
    const int high = value(text[at]), low = value(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

}  // namespace neon_redo

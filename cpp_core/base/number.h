// Numbers that people write: integers, sizes and durations. Each function reads the whole text or
// refuses it. The message of an error says what is wrong with the value; the caller adds where the
// value came from, as in `invalid value "512" for option --memory: …`.
#ifndef NEON_REDO_BASE_NUMBER_H_
#define NEON_REDO_BASE_NUMBER_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "neon_redo/error.h"

namespace neon_redo {

// A decimal integer, such as "42" or "-1", from min to max, both included.
Result<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max);

// A number of bytes with its unit, such as "512MB" or "1.5 GB". The units are those of PostgreSQL's
// settings: B, kB, MB, GB and TB, in upper or lower case, each 1024 times the one before. A number
// without a unit is refused.
Result<uint64_t> ParseSize(std::string_view text);

// A duration in seconds, such as "10" or "0.5", or with a unit: us, ms, s, min, h or d. Never
// negative.
Result<std::chrono::duration<double>> ParseDuration(std::string_view text);

// The bytes that pairs of hexadecimal digits stand for, in upper or lower case. Nothing: something else
// is in the text, or a digit is alone.
std::optional<std::string> FromHex(std::string_view text);

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_NUMBER_H_

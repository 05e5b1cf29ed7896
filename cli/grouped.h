// Numbers as reports have them.
#ifndef NEON_REDO_CLI_GROUPED_H_
#define NEON_REDO_CLI_GROUPED_H_

#include <cstdint>
#include <string>

namespace neon_redo::cli {

// 1234567 as "1,234,567".
std::string Grouped(uint64_t n);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_GROUPED_H_

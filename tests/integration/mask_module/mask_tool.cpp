// The library's masks on standard input, for test_masks.py: mask_tool RMID FIRST_BLOCK. Pages in,
// for each a byte (1: masked to the end, 0: not) and the page out, as server_mask answers.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "cpp_core/pg/mask.h"
#include "neon_redo/block.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto rmid = static_cast<uint8_t>(std::atoi(argv[1]));
  auto block = static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10));
  static uint8_t page[neon_redo::kBlockSize];
  while (std::fread(page, sizeof(page), 1, stdin) == 1) {
    std::putchar(neon_redo::MaskPage(rmid, page, block++) ? 1 : 0);
    std::fwrite(page, sizeof(page), 1, stdout);
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

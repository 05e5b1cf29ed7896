// The masks for comparing pages. Input: a resource manager's number, then the start of a page. A
// mask applied twice is the mask applied once, and it stays within the page.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "cpp_core/page/mask.h"
#include "cpp_core/page/page.h"

using namespace neon_redo;

namespace {

struct alignas(8) AlignedPage {
  uint8_t bytes[kBlockSize];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t rmid = data[0] % 24;
  // Buffers of their own: AddressSanitizer sees a step over either end.
  const auto once = std::make_unique<AlignedPage>();
  std::memcpy(once->bytes, data + 1, size - 1 < kBlockSize ? size - 1 : kBlockSize);
  const auto unlogged = std::make_unique<AlignedPage>(*once);
  MaskUnlogged(rmid, unlogged->bytes, 7);
  GuessResourceManager(once->bytes);
  const bool masked = MaskPage(rmid, once->bytes, 7);
  const auto twice = std::make_unique<AlignedPage>(*once);
  if (MaskPage(rmid, twice->bytes, 7) != masked) std::abort();
  if (masked && std::memcmp(once->bytes, twice->bytes, kBlockSize) != 0) std::abort();
  return 0;
}

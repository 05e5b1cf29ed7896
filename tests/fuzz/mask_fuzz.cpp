// The masks for comparing pages. Input: a resource manager's number, then the start of a page. A
// mask stays within the page, and what it says of a page does not depend on the LSN and checksum.
// What follows the page are changes of three bytes, a place and what to flip there, that make
// another page of it: if the two are said to be equal once masked, they are.
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

void CheckEqualMasked(uint8_t rmid, const AlignedPage& page, const uint8_t* changes, size_t size) {
  const auto a = std::make_unique<AlignedPage>(page), b = std::make_unique<AlignedPage>(page);
  for (; size >= 3; changes += 3, size -= 3)
    b->bytes[(changes[0] << 8 | changes[1]) % kBlockSize] ^= changes[2];
  if (!AreEqualMasked(rmid, a->bytes, b->bytes, 7)) return;
  MaskPage(rmid, a->bytes, 7);
  MaskPage(rmid, b->bytes, 7);
  if (std::memcmp(a->bytes, b->bytes, kBlockSize) != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t rmid = data[0] % 24;
  // Buffers of their own: AddressSanitizer sees a step over either end.
  const auto once = std::make_unique<AlignedPage>();
  std::memcpy(once->bytes, data + 1, size - 1 < kBlockSize ? size - 1 : kBlockSize);
  if (size - 1 > kBlockSize)
    CheckEqualMasked(rmid, *once, data + 1 + kBlockSize, size - 1 - kBlockSize);
  const auto unlogged = std::make_unique<AlignedPage>(*once);
  const auto other = std::make_unique<AlignedPage>(*once);
  MaskUnlogged(rmid, unlogged->bytes, 7);
  GuessResourceManager(once->bytes);
  const bool masked = MaskPage(rmid, once->bytes, 7);
  MaskLsnAndChecksum(other->bytes);
  if (MaskPage(rmid, other->bytes, 7) != masked) std::abort();
  if (masked && std::memcmp(once->bytes, other->bytes, kBlockSize) != 0) std::abort();
  return 0;
}

// The masks for comparing pages. Input: a resource manager's number, kChanges changes of three
// bytes, then the start of a page. A mask stays within the page, and what it says of a page does
// not depend on the LSN and checksum. The changes make another page of it: an item, a byte of it,
// and what to flip there; or a place on the page. If the two are said to be equal once masked, they
// are.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"

using namespace neon_redo;

namespace {

struct alignas(8) AlignedPage {
  uint8_t bytes[kBlockSize];
};

constexpr size_t kChanges = 8;
constexpr size_t kHeadSize = 1 + 3 * kChanges;

size_t PlaceOf(const uint8_t* page, uint8_t first, uint8_t second) {
  LinePointer lp{};
  if (second < 64 && PageView(page).line_pointer(first, &lp))
    return (lp.offset() + second) % kBlockSize;
  return (first << 8 | second) % kBlockSize;
}

void CheckEqualMasked(uint8_t rmid, const AlignedPage& page, const uint8_t* changes) {
  const auto a = std::make_unique<AlignedPage>(page), b = std::make_unique<AlignedPage>(page);
  for (size_t i = 0; i < kChanges; i++, changes += 3)
    b->bytes[PlaceOf(page.bytes, changes[0], changes[1])] ^= changes[2];
  if (!AreEqualMasked(rmid, a->bytes, b->bytes, 7)) return;
  for (const auto& each : {a.get(), b.get()}) {
    MaskUnlogged(rmid, each->bytes, 7);
    MaskPage(rmid, each->bytes, 7);
  }
  if (std::memcmp(a->bytes, b->bytes, kBlockSize) != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kHeadSize) return 0;
  const uint8_t rmid = data[0] % 24;
  // Buffers of their own: AddressSanitizer sees a step over either end.
  const auto once = std::make_unique<AlignedPage>();
  const size_t rest = size - kHeadSize;
  std::memcpy(once->bytes, data + kHeadSize, rest < kBlockSize ? rest : kBlockSize);
  CheckEqualMasked(rmid, *once, data + 1);
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

// Pages in words. Input: what the page is of, a place on it and what to flip there, then the start of the
// page. The words name bytes of the page only. A page and its copy differ exactly if their bytes do.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "cpp_core/page_words/page_diff.h"
#include "cpp_core/page_words/page_text.h"
#include "cpp_core/page_words/page_words.h"
#include "cpp_core/pg/page.h"

using namespace neon_redo;

namespace {

constexpr size_t kHeadSize = 4;

PageKey KeyOf(uint8_t what) {
  if (what & 0x80) return PageKey::OfSlruBlock({static_cast<SlruKind>(what % kSlruKinds), 1, 2});
  return PageKey::OfBlock({{1663, 5, 16384}, static_cast<uint8_t>(what % 4), 7});
}

void CheckWords(const PageWords& words) {
  for (const PagePart& part : words.parts)
    for (const PageField& field : part.fields)
      if (uint64_t{field.offset} + field.length > kBlockSize) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kHeadSize) return 0;
  const pg::Version& version = *pg::FindVersionByMajor(17);
  const PageKey key = KeyOf(data[0]);
  // Buffers of their own: AddressSanitizer sees a step over either end.
  const auto page = std::make_unique<uint8_t[]>(kBlockSize);
  std::memcpy(page.get(), data + kHeadSize, std::min(size - kHeadSize, kBlockSize));
  const PageWords words = DescribePage(key, page.get(), version);
  CheckWords(words);
  PageText(words);
  HexDump(words, page.get());
  const auto other = std::make_unique<uint8_t[]>(kBlockSize);
  std::memcpy(other.get(), page.get(), kBlockSize);
  other[(data[1] << 8 | data[2]) % kBlockSize] ^= data[3];
  std::memcpy(other.get() + kPageChecksumAt, page.get() + kPageChecksumAt, 2);
  const PageDiff diff = ComparePages(key, page.get(), other.get(), version);
  if (diff.empty() != (std::memcmp(page.get(), other.get(), kBlockSize) == 0)) std::abort();
  if (diff.empty() != DiffText(diff).empty()) std::abort();
  return 0;
}

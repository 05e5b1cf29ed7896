// Plain code: MaskUnlogged and MaskPage of both pages, then memcmp. Test: AreEqualMasked in
// tests/unit/pg_mask_test.cpp. Benchmark: BM_MaskedCompare in tests/bench/fast_path_bench.cpp.
//
// Masking writes to both pages and walks all their tuples, although many pages are equal, and most
// of the others differ in a few hint bits. So first the words that differ are found. What stands
// before the tuples must be equal, the free space does not count, and of a heap page each tuple
// whose header or padding has such a word is compared under its mask. When no word is left over,
// the masks would leave equal pages.
//
// Of broken pages whose pieces overlap, what one item's mask writes may be what the next one's
// looks at. There nothing is said: an item that lies outside of the items' room, is not aligned, or
// has a word that differs in common with another ends it. A word that does not differ may be
// shared, for all that a mask goes by is in the word that it changes.
#include <cstring>

#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/mask_parts.h"
#include "cpp_core/pg/page.h"

namespace neon_redo {

using namespace mask;

namespace {

constexpr size_t kWord = sizeof(uint64_t);
constexpr size_t kWords = kBlockSize / kWord;
constexpr size_t kTupleWords = 3;  // up to t_bits
static_assert(kTupleHeaderEnd <= kTupleWords * kWord);

// A bit for each word of a page.
class WordSet {
 public:
  // Eight words, the first of which is a multiple of eight.
  void AddEight(size_t word, uint8_t bits) { bytes_[word / 8] = bits; }
  void Remove(size_t word) { bytes_[word / 8] &= static_cast<uint8_t>(~(1 << word % 8)); }
  bool Has(size_t word) const { return bytes_[word / 8] >> word % 8 & 1; }
  // Of kTupleWords words from this one on, those in the set.
  uint32_t InTuple(size_t word) const {
    return LoadNative<uint16_t>(bytes_ + word / 8) >> word % 8 & ((1u << kTupleWords) - 1);
  }
  bool empty() const {
    static constexpr uint8_t kNone[kWords / 8] = {};
    return std::memcmp(bytes_, kNone, sizeof(kNone)) == 0;
  }

 private:
  uint8_t bytes_[kWords / 8 + 1] = {};  // one more for InTuple
};

// The words from this one on that differ. Without a branch on a word: it would be a wrong guess.
void FindDifferences(const uint8_t* a, const uint8_t* b, size_t from, WordSet* out) {
  for (size_t word = from / 8 * 8; word < kWords; word += 8) {
    uint64_t different[8], any = 0;
    for (size_t i = 0; i < 8; i++) {
      different[i] = LoadNative<uint64_t>(a + (word + i) * kWord) ^
                     LoadNative<uint64_t>(b + (word + i) * kWord);
      any |= different[i];
    }
    if (any == 0) continue;
    uint32_t bits = 0;
    for (size_t i = 0; i < 8; i++) bits |= uint32_t{different[i] != 0} << i;
    out->AddEight(word, static_cast<uint8_t>(bits));
  }
  for (size_t word = from / 8 * 8; word < from; word++) out->Remove(word);
}

// The tuple's address, the exception, must be equal as it stands: it spans two words.
bool HaveEqualTupleHeaders(const uint8_t* a, const uint8_t* b, uint32_t block, uint16_t number) {
  uint8_t headers[2][kTupleWords * kWord];
  if (std::memcmp(a + pg::tuple::kCtid, b + pg::tuple::kCtid, pg::kItemPointerSize) != 0)
    return false;
  std::memcpy(headers[0], a, sizeof(headers[0]));
  std::memcpy(headers[1], b, sizeof(headers[1]));
  MaskHeapTuple(headers[0], block, number);
  MaskHeapTuple(headers[1], block, number);
  return std::memcmp(headers[0], headers[1], sizeof(headers[0])) == 0;
}

// Two heap pages with the same pd_lower, pd_upper and line pointers.
class HeapTuples {
 public:
  HeapTuples(const uint8_t* a, const uint8_t* b, uint32_t block) : a_(a), b_(b), block_(block) {}

  bool AreEqualMasked() {
    const PageView view(a_);
    const size_t upper = view.upper();
    if (upper % kWord != 0) return false;
    FindDifferences(a_, b_, upper / kWord, &all_);
    if (all_.empty()) return true;
    left_ = all_;
    const uint32_t count = view.line_pointer_count();
    for (uint32_t number = 1; number <= count; number++) {
      LinePointer lp;
      if (!view.line_pointer(number, &lp)) return false;
      if (lp.flags() != kLpNormal && lp.length() == 0) continue;
      if (lp.offset() < upper || lp.offset() % kWord != 0 ||
          lp.offset() + kTupleWords * kWord > kBlockSize || lp.offset() + lp.length() > kBlockSize)
        return false;
      if (lp.flags() == kLpNormal && !TakeHeader(lp.offset(), static_cast<uint16_t>(number)))
        return false;
      if (!TakePadding(lp.offset() + lp.length())) return false;
    }
    return left_.empty();
  }

 private:
  // False when a word that differs was another item's already, or what differs in it counts.
  bool TakeHeader(size_t offset, uint16_t number) {
    const size_t word = offset / kWord;
    const uint32_t different = all_.InTuple(word);
    if (different == 0) return true;
    if (left_.InTuple(word) != different ||
        !HaveEqualTupleHeaders(a_ + offset, b_ + offset, block_, number))
      return false;
    for (size_t i = 0; i < kTupleWords; i++) left_.Remove(word + i);
    return true;
  }

  // The bytes from the item's end to the next multiple of eight, likewise.
  bool TakePadding(size_t end) {
    const size_t word = end / kWord, used = end % kWord;
    if (used == 0 || !all_.Has(word)) return true;
    if (!left_.Has(word) || std::memcmp(a_ + word * kWord, b_ + word * kWord, used) != 0)
      return false;
    left_.Remove(word);
    return true;
  }

  const uint8_t *const a_, *const b_;
  const uint32_t block_;
  WordSet all_, left_;  // words that differ; those that no item has taken yet
};

// All resource managers whose masks begin with MaskHeaderHints and MaskFreeSpace, on every page.
bool MasksHintsAndFreeSpace(uint8_t rmid) {
  return rmid == kRmHeap2 || rmid == kRmHeap || rmid == kRmBtree || rmid == kRmHash ||
         rmid == kRmGist;
}

bool HaveEqualHeaders(const uint8_t* a, const uint8_t* b) {
  uint8_t headers[2][kPageHeaderSize];
  std::memcpy(headers[0], a, kPageHeaderSize);
  std::memcpy(headers[1], b, kPageHeaderSize);
  for (uint8_t* header : headers) {
    MaskLsnAndChecksum(header);
    MaskHeaderHints(header);
  }
  return std::memcmp(headers[0], headers[1], kPageHeaderSize) == 0;
}

}  // namespace

bool AreEqualMasked(uint8_t rmid, const uint8_t* a, const uint8_t* b, uint32_t block) {
  const PageView view(a);
  if (!MasksHintsAndFreeSpace(rmid) || !view.has_valid_space())
    return std::memcmp(a + kPageFlagsAt, b + kPageFlagsAt, kBlockSize - kPageFlagsAt) == 0;
  if (!HaveEqualHeaders(a, b)) return false;
  const size_t lower = view.lower(), upper = view.upper();
  if (std::memcmp(a + kPageHeaderSize, b + kPageHeaderSize, lower - kPageHeaderSize) != 0)
    return false;
  if (rmid == kRmHeap || rmid == kRmHeap2) return HeapTuples(a, b, block).AreEqualMasked();
  return std::memcmp(a + upper, b + upper, kBlockSize - upper) == 0;
}

}  // namespace neon_redo

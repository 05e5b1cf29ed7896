// Closing the gaps of random pages (page_edit.cpp) beside a simple way to do the same: each tuple
// that stays is copied out of the old page, in the order of the line pointers, from the special
// area down.
#include "cpp_core/redo/native/compact.h"
#include "cpp_core/redo/native/page_edit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "tests/unit/native_record.h"

namespace neon_redo::testing {
namespace {

using native::GetLinePointer;
using native::MaxAlign;

class RandomPage {
 public:
  // shuffled: the tuples' places are not in the order of their line pointers. Every byte that no
  // field defines is random, gaps between tuples included.
  RandomPage(std::mt19937_64* random, uint32_t special_size, bool shuffled) : random_(*random) {
    native::InitPage(page.bytes, special_size);
    const uint32_t lines = 1 + random_() % 150;
    for (uint32_t i = native::kHeaderSize + 4 * lines; i < kBlockSize - special_size; i++)
      page.bytes[i] = static_cast<uint8_t>(random_());
    std::vector<uint32_t> numbers(lines);
    for (uint32_t i = 0; i < lines; i++) numbers[i] = i + 1;
    if (shuffled) std::shuffle(numbers.begin(), numbers.end(), random_);
    native::SetLower(page.bytes, native::kHeaderSize + 4 * lines);
    const uint32_t gaps = random_() % 3;
    uint32_t upper = kBlockSize - special_size;
    for (uint32_t number : numbers) {
      const uint32_t length = 1 + random_() % 80;
      upper -= MaxAlign(length) + (random_() % 3 < gaps ? 8 * (random_() % 4) : 0);
      if (upper < native::Lower(page.bytes) + 200) break;
      native::PutLinePointer(page.bytes, number, upper, kLpNormal, length);
      native::SetUpper(page.bytes, upper);
    }
  }

  std::mt19937_64& random_;
  TestPage page;
};

// Lays out the tuples of the numbers in `keep`; renumber: their line pointers become 1, 2, …
TestPage LaidOut(const TestPage& old, const std::vector<uint32_t>& keep, bool renumber) {
  TestPage page = old;
  uint32_t to = native::Special(old.bytes), next = 1;
  for (uint32_t number : keep) {
    const LinePointer lp = GetLinePointer(old.bytes, number);
    const uint32_t size = MaxAlign(lp.length());
    to -= size;
    std::copy_n(old.bytes + lp.offset(), size, page.bytes + to);
    native::PutLinePointer(page.bytes, renumber ? next++ : number, to, lp.flags(), lp.length());
  }
  native::SetUpper(page.bytes, to);
  if (renumber) native::SetLower(page.bytes, native::kHeaderSize + 4 * (next - 1));
  return page;
}

// Below the old pd_upper nothing is written; between the two uppers anything may stay.
void ExpectSame(const TestPage& got, const TestPage& want) {
  const auto header = std::mismatch(got.bytes, got.bytes + native::Lower(want.bytes), want.bytes);
  EXPECT_EQ(header.first - got.bytes, native::Lower(want.bytes));
  const uint32_t upper = native::Upper(want.bytes);
  const auto tuples = std::mismatch(got.bytes + upper, got.bytes + kBlockSize, want.bytes + upper);
  EXPECT_EQ(tuples.first - got.bytes, kBlockSize);
}

TEST(NativePageEdit, RepairFragmentationIsTheSimpleLayout) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 4000 && !HasFailure(); round++) {
    RandomPage made(&random, 0, round % 2 != 0);
    TestPage& page = made.page;
    const uint32_t lines = native::MaxOffset(page.bytes);
    std::vector<uint32_t> keep;
    uint32_t last_used = 0, unused = 0;
    for (uint32_t n = 1; n <= lines; n++) {
      const uint64_t what = random() % 8;
      if (what == 0) native::PutLinePointer(page.bytes, n, 0, kLpUnused, 0);
      if (what == 1) native::PutLinePointer(page.bytes, n, 0, kLpDead, 0);
      if (what == 2) native::PutLinePointer(page.bytes, n, 1, kLpRedirect, 0);
      const LinePointer lp = GetLinePointer(page.bytes, n);
      if (lp.length() != 0) keep.push_back(n);
      if (lp.flags() != kLpUnused) last_used = n;
    }
    for (uint32_t n = 1; n < last_used; n++)
      unused += GetLinePointer(page.bytes, n).flags() == kLpUnused;
    TestPage want = LaidOut(page, keep, false);
    native::SetLower(want.bytes, native::kHeaderSize + 4 * last_used);
    if (unused > 0) native::SetFlags(want.bytes, kPdHasFreeLines);
    ASSERT_TRUE(native::RepairFragmentation(page.bytes));
    ExpectSame(page, want);
  }
}

// Sixteen line pointers at a time, or one: the same comes of it, also of what no server writes.
TEST(NativePageEdit, ItemsAreGatheredAlikeByAllInstructions) {
  std::mt19937_64 random(3);
  int gathered = 0;
  for (int round = 0; round < 20000 && !HasFailure(); round++) {
    RandomPage made(&random, 0, round % 2 != 0);
    TestPage wide = made.page;
    const uint32_t lines = native::MaxOffset(wide.bytes);
    for (uint32_t n = 1; n <= lines; n++) {
      const uint64_t what = random() % 16;
      uint8_t* lp = native::LinePointerAt(wide.bytes, n);
      if (what < 2) native::Put32(lp, 0);
      if (what == 2) native::PutLinePointer(wide.bytes, n, 1, kLpRedirect, 0);
      if (what == 3) native::PutLinePointer(wide.bytes, n, 0, kLpDead, 0);
      if (what == 4 && round % 8 == 0) native::Put32(lp, static_cast<uint32_t>(random()));
      if (what == 5 && n > 1) std::swap_ranges(lp, lp + 4, lp - 4);
    }
    TestPage plain = wide;
    native::KeptItems a(wide.bytes), b(plain.bytes);
    native::LineCounts a_counts, b_counts;
    const bool a_fits = native::GatherItems(wide.bytes, &a, &a_counts);
    ASSERT_EQ(a_fits, native::GatherItemsOneByOne(plain.bytes, &b, &b_counts));
    if (!a_fits) continue;
    gathered++;
    ASSERT_EQ(std::memcmp(wide.bytes, plain.bytes, kBlockSize), 0);
    ASSERT_EQ(a_counts.unused, b_counts.unused);
    ASSERT_EQ(a_counts.last_used, b_counts.last_used);
    ASSERT_EQ(a.count, b.count);
    ASSERT_EQ(a.total, b.total);
    ASSERT_EQ(a.in_order, b.in_order);
    ASSERT_EQ(a.overlaps, b.overlaps);
    ASSERT_TRUE(std::equal(std::begin(a.joined), std::end(a.joined), b.joined));
    ASSERT_TRUE(std::equal(a.offset, a.offset + a.count, b.offset));
    ASSERT_TRUE(std::equal(a.length, a.length + a.count, b.length));
    ASSERT_TRUE(std::equal(a.index, a.index + a.count, b.index));
  }
  EXPECT_GT(gathered, 10000);
}

TEST(NativePageEdit, DeleteIndexItemsIsTheSimpleLayout) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 4000 && !HasFailure(); round++) {
    RandomPage made(&random, 16, round % 2 != 0);
    TestPage& page = made.page;
    const uint32_t lines = native::MaxOffset(page.bytes);
    // Index pages have no line pointers without storage.
    for (uint32_t n = 1; n <= lines; n++) {
      if (GetLinePointer(page.bytes, n).length() != 0) continue;
      native::SetLower(page.bytes, native::kHeaderSize + 4 * (n - 1));
      break;
    }
    std::vector<uint32_t> keep;
    std::vector<uint16_t> gone;
    for (uint32_t n = 1; n <= native::MaxOffset(page.bytes); n++) {
      if (random() % 3 == 0)
        gone.push_back(static_cast<uint16_t>(n));
      else
        keep.push_back(n);
    }
    if (gone.size() < 3) continue;  // one by one, in another order
    const TestPage want = LaidOut(page, keep, true);
    ASSERT_TRUE(native::DeleteIndexItems(page.bytes, reinterpret_cast<uint8_t*>(gone.data()),
                                         static_cast<uint32_t>(gone.size())));
    ExpectSame(page, want);
  }
}

}  // namespace
}  // namespace neon_redo::testing

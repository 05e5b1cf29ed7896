// Hostile pages between two forbidden pages of memory: a mask that touches a byte outside its 8192
// dies here. That masks do what the server's do is tests/integration/test_masks.py.
#include "cpp_core/pg/mask.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "cpp_core/pg/page.h"

namespace neon_redo {
namespace {

constexpr uint8_t kMasked[] = {0, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20};

class GuardedPage {
 public:
  GuardedPage() {
    memory_ = static_cast<uint8_t*>(
        mmap(nullptr, 4 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(memory_, MAP_FAILED);
    EXPECT_EQ(mprotect(memory_ + 4096, kBlockSize, PROT_READ | PROT_WRITE), 0);
  }
  ~GuardedPage() { munmap(memory_, 4 * 4096); }
  uint8_t* get() { return memory_ + 4096; }

 private:
  uint8_t* memory_;
};

void Put16(uint8_t* page, size_t at, uint16_t value) { std::memcpy(page + at, &value, 2); }

// Such a test can fail by crashing only, which sanitizers make sure of.
#ifdef __SANITIZE_ADDRESS__
TEST(PageMask, HostilePagesStayInBounds) {
  GuardedPage guarded;
  uint8_t* page = guarded.get();
  std::mt19937 random(1);
  for (int round = 0; round < 20000; round++) {
    for (size_t at = 0; at < kBlockSize; at += 4) {
      const uint32_t value = round % 3 == 0 ? 0xffffffff : random();
      std::memcpy(page + at, &value, 4);
    }
    // Half of the pages pass the header's check, so that what comes after it is reached.
    if (round % 2 == 0) {
      const uint16_t upper = random() % (kBlockSize + 1);
      Put16(page, 12, 24 + random() % 4000 % (upper < 24 ? 1 : upper - 23));
      Put16(page, 14, upper);
      Put16(page, 16, upper + random() % (kBlockSize - upper + 1));
    }
    const uint8_t rmid = kMasked[random() % sizeof(kMasked)];
    MaskUnlogged(rmid, page, round % 2);
    MaskPage(rmid, page, random());
    GuessResourceManager(page);
    PageChecksum(page, 7);
  }
}
#endif

using Page = std::array<uint8_t, kBlockSize>;

// Three tuples of 40 and 36 bytes with hints, and free space that is not blank.
Page HeapPage() {
  Page page;
  page.fill(0x77);
  const uint16_t header[] = {0, 0, 24 + 3 * 4, 8192 - 3 * 40, 8192, 0x2004, 0, 0};
  std::memcpy(page.data() + 8, header, sizeof(header));
  for (uint32_t i = 0; i < 3; i++) {
    const uint32_t length = i == 1 ? 36 : 40, at = kBlockSize - 40 * (i + 1);
    const uint32_t lp = at | 1u << 15 | length << 17;
    std::memcpy(page.data() + 24 + 4 * i, &lp, 4);
    Put16(page.data(), at + 20, i == 2 ? 0x0b02 : 0x0902);  // the last one frozen
  }
  return page;
}

bool MasksLeaveEqual(uint8_t rmid, Page a, Page b, uint32_t block) {
  for (Page* page : {&a, &b}) {
    MaskUnlogged(rmid, page->data(), block);
    MaskPage(rmid, page->data(), block);
  }
  return a == b;
}

TEST(AreEqualMasked, EveryBitOfAHeapPage) {
  const Page page = HeapPage();
  int hints = 0;
  for (size_t bit = 0; bit < 8 * kBlockSize; bit++) {
    Page other = page;
    other[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const bool equal = AreEqualMasked(10, page.data(), other.data(), 7);
    EXPECT_EQ(equal, AreEqualMasked(10, other.data(), page.data(), 7)) << bit;
    EXPECT_EQ(equal, MasksLeaveEqual(10, page, other, 7)) << bit;
    hints += equal && bit >= 8 * (kBlockSize - 3 * 40);
  }
  // The command ids, the hints, all but two of which count in a frozen tuple, and the padding. One
  // bit of two tuples would make them frozen.
  EXPECT_EQ(hints, 3 * 32 + 2 * (12 - 1) + 2 + 32);
}

// What is said to be equal is equal, also of broken pages.
TEST(AreEqualMasked, ManyDifferencesAtOnce) {
  std::mt19937 random(2);
  for (uint8_t rmid : kMasked) {
    int equal = 0;
    for (int round = 0; round < 3000; round++) {
      Page page = HeapPage(), other;
      // Broken ones as well, whose items lie over each other.
      for (int i = round % 4; i > 0; i--)
        page[random() % 2 ? 12 + random() % 24 : random() % 8192] = static_cast<uint8_t>(random());
      other = page;
      for (int i = random() % 6; i > 0; i--) {
        const size_t at = kBlockSize - 40 * (random() % 3 + 1) +
                          (random() % 2 ? 8 + random() % 4 : 20 + random() % 2);
        other[at] = static_cast<uint8_t>(random());
      }
      other[8 + random() % 2] ^= 1;
      const bool said = AreEqualMasked(rmid, page.data(), other.data(), 7);
      equal += said;
      ASSERT_TRUE(!said || MasksLeaveEqual(rmid, page, other, 7)) << int{rmid} << ' ' << round;
    }
    EXPECT_GT(equal, 300) << int{rmid};
  }
}

TEST(PageMask, SaysWhoHasAMask) {
  for (int rmid = 0; rmid < 256; rmid++)
    EXPECT_EQ(HasMask(rmid), (rmid >= 9 && rmid <= 17) || rmid == 20) << rmid;
}

TEST(PageMask, RefusesAHeaderThatCannotBe) {
  std::vector<uint8_t> page(kBlockSize);
  for (uint8_t rmid : kMasked) {
    std::fill(page.begin(), page.end(), 0);
    Put16(page.data(), 12, 5000);  // pd_lower beyond pd_upper
    Put16(page.data(), 14, 4000);
    Put16(page.data(), 16, 8184);
    Put16(page.data(), kBlockSize - 2, rmid == 17 ? 0xf093 : 0);
    EXPECT_EQ(MaskPage(rmid, page.data(), 0), rmid == 0) << int{rmid};
  }
}

TEST(PageMask, WithoutAMaskOnlyLsnAndChecksumGo) {
  std::vector<uint8_t> page(kBlockSize, 0x5a);
  EXPECT_TRUE(MaskPage(0, page.data(), 0));
  for (size_t at = 0; at < kBlockSize; at++) EXPECT_EQ(page[at], at < 10 ? 0 : 0x5a) << at;
}

TEST(PageMask, SequenceStateIsNotLogged) {
  std::vector<uint8_t> page(kBlockSize);
  Put16(page.data(), 12, 28);
  Put16(page.data(), 14, 8128);
  Put16(page.data(), 16, 8184);
  const uint32_t lp = 8128 | 1u << 15 | 41u << 17;
  std::memcpy(page.data() + 24, &lp, 4);
  page[8128 + 22] = 24;
  std::memset(page.data() + 8128 + 24, 0xff, 17 + 3);
  const uint32_t magic = 0x1717;
  std::memcpy(page.data() + 8184, &magic, 4);
  EXPECT_EQ(GuessResourceManager(page.data()), 15);
  MaskUnlogged(15, page.data(), 0);
  for (int i = 0; i < 17; i++) EXPECT_EQ(page[8128 + 24 + i], 0);
  for (int i = 17; i < 20; i++) EXPECT_EQ(page[8128 + 24 + i], 0xff);
}

TEST(Page, ReadsItsHeader) {
  std::vector<uint8_t> page(kBlockSize);
  EXPECT_TRUE(PageView(page.data()).is_new());
  SetPageLsn(page.data(), Lsn(0x16b374d848));
  EXPECT_EQ(PageView(page.data()).lsn().ToString(), "16/B374D848");
  Put16(page.data(), 12, 32);
  Put16(page.data(), 14, 8000);
  Put16(page.data(), 16, 8176);
  Put16(page.data(), 18, 0x2004);
  const PageView view(page.data());
  EXPECT_FALSE(view.is_new());
  EXPECT_TRUE(view.has_valid_space());
  EXPECT_EQ(view.line_pointer_count(), 2u);
  EXPECT_EQ(view.page_size(), kBlockSize);
  EXPECT_EQ(view.layout_version(), 4);
  LinePointer lp;
  EXPECT_FALSE(view.line_pointer(0, &lp));
  EXPECT_TRUE(view.line_pointer(2042, &lp));
  EXPECT_FALSE(view.line_pointer(2043, &lp));
}

TEST(Page, ChecksumDependsOnBlockAndNotOnItsOwnField) {
  std::vector<uint8_t> page(kBlockSize, 0x31);
  const uint16_t sum = PageChecksum(page.data(), 1);
  EXPECT_NE(sum, PageChecksum(page.data(), 2));
  Put16(page.data(), 8, 0);
  EXPECT_EQ(sum, PageChecksum(page.data(), 1));
  page[8191] ^= 1;
  EXPECT_NE(sum, PageChecksum(page.data(), 1));
}

}  // namespace
}  // namespace neon_redo

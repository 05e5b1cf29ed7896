// Memory backed by a large page behaves as memory that is not: zeroed, and writable to its last
// byte. Whether the kernel has a large page to give is its own affair.
#include "cpp_core/replay/large_page.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

namespace neon_redo {
namespace {

class LargePageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    memory_ = mmap(nullptr, 2 * kLargePageBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
    const auto at = reinterpret_cast<uintptr_t>(memory_);
    page_ =
        static_cast<uint8_t*>(memory_) + (kLargePageBytes - at % kLargePageBytes) % kLargePageBytes;
  }
  void TearDown() override { munmap(memory_, 2 * kLargePageBytes); }

  void ExpectPlainMemory() {
    EXPECT_TRUE(std::all_of(page_, page_ + kLargePageBytes, [](uint8_t b) { return b == 0; }));
    std::fill_n(page_, kLargePageBytes, uint8_t{0xa5});
    EXPECT_TRUE(std::all_of(page_, page_ + kLargePageBytes, [](uint8_t b) { return b == 0xa5; }));
  }

  void* memory_ = nullptr;
  uint8_t* page_ = nullptr;
};

TEST_F(LargePageTest, IsZeroedAndWritable) {
  PopulateByLargePage(page_);
  ExpectPlainMemory();
}

TEST_F(LargePageTest, MemoryWithoutItIsTheSame) { ExpectPlainMemory(); }

// What cannot be populated is refused, and changes nothing.
TEST_F(LargePageTest, ReadOnlyMemoryIsRefused) {
  ASSERT_EQ(mprotect(memory_, 2 * kLargePageBytes, PROT_READ), 0);
  EXPECT_FALSE(PopulateByLargePage(page_));
  EXPECT_TRUE(std::all_of(page_, page_ + kLargePageBytes, [](uint8_t b) { return b == 0; }));
}

}  // namespace
}  // namespace neon_redo

// PageChecksum against the server's own header, which is made to be included by other programs.
#include <gtest/gtest.h>

#include <random>

#include "cpp_core/pg/page.h"

// The server's macros come after all other headers.
extern "C" {
#include <postgres_fe.h>
// Relies on postgres_fe.h before it.
#include <storage/checksum_impl.h>
}

namespace neon_redo {
namespace {

TEST(PageChecksumTest, IsTheServers) {
  std::mt19937 random(1);
  alignas(8) uint8_t page[kBlockSize] = {};
  for (int round = 0; round < 500; round++) {
    // Pages from nearly empty to full.
    const size_t bytes = random() % (kBlockSize + 1);
    for (size_t i = 0; i < bytes; i++) page[i] = static_cast<uint8_t>(random());
    pg::SetUpper(page, 1 + random() % 8192);  // not new, which the server's function asserts
    const auto block = static_cast<uint32_t>(random());
    ASSERT_EQ(PageChecksum(page, block), pg_checksum_page(reinterpret_cast<char*>(page), block));
  }
}

TEST(PageChecksumTest, TakesAnyAddress) {
  alignas(8) uint8_t page[kBlockSize + 8] = {};
  for (size_t i = 0; i < kBlockSize; i++) page[i] = static_cast<uint8_t>(i * 7);
  const uint16_t checksum = PageChecksum(page, 3);
  std::memmove(page + 1, page, kBlockSize);
  EXPECT_EQ(PageChecksum(page + 1, 3), checksum);
}

}  // namespace
}  // namespace neon_redo

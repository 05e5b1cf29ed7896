// 32 checksums side by side, each of every 32nd word, so that a compiler makes vector instructions
// of them; then they are folded into one (pg_checksum_page in storage/checksum_impl.h). tests/unit/
// pg_checksum_test.cpp holds the result against that header.
#include <cstring>

#include "cpp_core/pg/page.h"

namespace neon_redo {

namespace {

constexpr size_t kSums = 32;           // N_SUMS
constexpr uint32_t kPrime = 16777619;  // FNV_PRIME
constexpr size_t kRowSize = kSums * sizeof(uint32_t);

// checksumBaseOffsets: where each checksum starts.
constexpr uint32_t kStart[kSums] = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

inline void AddRow(uint32_t* sums, const uint8_t* row) {
  uint32_t words[kSums];
  std::memcpy(words, row, kRowSize);
  for (size_t i = 0; i < kSums; i++) {
    const uint32_t mixed = sums[i] ^ words[i];
    sums[i] = mixed * kPrime ^ mixed >> 17;
  }
}

}  // namespace

uint16_t PageChecksum(const uint8_t* page, uint32_t block) {
  static constexpr uint8_t kZeroes[kRowSize] = {};
  uint32_t sums[kSums];
  std::memcpy(sums, kStart, sizeof(sums));
  // pd_checksum itself counts as zero.
  uint8_t first[kRowSize];
  std::memcpy(first, page, kRowSize);
  pg::SetChecksum(first, 0);
  AddRow(sums, first);
  for (size_t at = kRowSize; at < kBlockSize; at += kRowSize) AddRow(sums, page + at);
  AddRow(sums, kZeroes);
  AddRow(sums, kZeroes);
  uint32_t folded = block;
  for (const uint32_t sum : sums) folded ^= sum;
  return static_cast<uint16_t>(folded % 65535 + 1);
}

}  // namespace neon_redo

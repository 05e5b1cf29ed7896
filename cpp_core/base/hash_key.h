// Hashes of what WAL, or another peer, says. They need a key that the peer does not know: otherwise
// it can send what falls into one place of a table, and each search there reads all of it.
#ifndef NEON_REDO_BASE_HASH_KEY_H_
#define NEON_REDO_BASE_HASH_KEY_H_

#include <cstddef>
#include <cstdint>

namespace neon_redo {

struct HashKey {
  uint64_t first;
  uint64_t second;
};

// Of this process: random, chosen before main.
extern const HashKey kHashKey;

// The key comes first. Without it, inputs of equal hash could be computed by inverting the steps.
// (The multiplication is that of wyhash: both halves of the product of 128 bits.)
inline uint64_t HashPair(uint64_t a, uint64_t b, const HashKey& key = kHashKey) {
  __extension__ using Product = unsigned __int128;
  const Product product = Product{a ^ key.first} * (b ^ key.second);
  uint64_t h = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  h *= 0x9e3779b97f4a7c15u;
  return h ^ h >> 32;
}

// For std::unordered_map.
struct KeyedHash {
  size_t operator()(uint64_t number) const { return HashPair(number, 0); }
};

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_HASH_KEY_H_

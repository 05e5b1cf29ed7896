#include "cpp_core/base/hash_key.h"

#include <sys/random.h>

#include <chrono>

namespace neon_redo {

namespace {

HashKey MakeHashKey() {
  HashKey key{};
  if (getrandom(&key, sizeof(key), 0) != sizeof(key)) {
    // No kernel that this program runs on refuses. The addresses of the stack are random as well.
    key.first = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    key.second = reinterpret_cast<uintptr_t>(&key) * 0x9e3779b97f4a7c15u;
  }
  return key;
}

}  // namespace

const HashKey kHashKey = MakeHashKey();

}  // namespace neon_redo

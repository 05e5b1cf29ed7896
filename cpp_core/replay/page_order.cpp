// A counting sort by some bits of the blocks' hashes, with about as many values as there are
// changes. Changes of blocks that share a value are mixed, which does no harm.
#include "cpp_core/replay/page_order.h"

#include <bit>

namespace neon_redo {

std::span<const BlockChange> PageOrder::Sort(std::span<const BlockChange> changes) {
  const uint64_t mask = std::bit_ceil(changes.size() | 1) - 1;
  ends_.assign(mask + 2, 0);
  for (const BlockChange& change : changes) ends_[(change.hash & mask) + 1]++;
  for (size_t i = 1; i < ends_.size(); i++) ends_[i] += ends_[i - 1];
  sorted_.resize(changes.size());
  for (const BlockChange& change : changes) sorted_[ends_[change.hash & mask]++] = change;
  return sorted_;
}

}  // namespace neon_redo

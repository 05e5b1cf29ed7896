// A counting sort by some bits of the tags' hashes, with about as many values as there are changes.
// Blocks that share a value are mixed; that does no harm.
#include "cpp_core/verify/page_order.h"

#include <bit>

#include "cpp_core/verify/block_table.h"

namespace neon_redo {

std::span<const PageOrder::Change> PageOrder::Sort() {
  const uint64_t mask = std::bit_ceil(added_.size() | 1) - 1;
  ends_.assign(mask + 2, 0);
  for (const Change& change : added_) ends_[(HashTag(change.tag) & mask) + 1]++;
  for (size_t i = 1; i < ends_.size(); i++) ends_[i] += ends_[i - 1];
  sorted_.resize(added_.size());
  for (const Change& change : added_) sorted_[ends_[HashTag(change.tag) & mask]++] = change;
  return sorted_;
}

}  // namespace neon_redo

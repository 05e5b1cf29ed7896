// The changes of many records in the order of pages.
#ifndef NEON_REDO_VERIFY_PAGE_ORDER_H_
#define NEON_REDO_VERIFY_PAGE_ORDER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "cpp_core/keyspace/block.h"

namespace neon_redo {

// Reusable. Not thread-safe.
class PageOrder {
 public:
  struct Change {
    BlockTag tag;
    uint32_t record;  // the caller's number
    int32_t part;     // of the record, the caller's too
  };

  void Clear() { added_.clear(); }
  void Add(const BlockTag& tag, uint32_t record, int32_t part) {
    added_.push_back({tag, record, part});
  }
  // All that were added since Clear. Those of one block keep their order, and nearly all of them
  // stand together. Valid until the next call of anything.
  std::span<const Change> Sort();

 private:
  std::vector<Change> added_, sorted_;
  std::vector<uint32_t> ends_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_PAGE_ORDER_H_

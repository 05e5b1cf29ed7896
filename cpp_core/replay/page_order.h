// The changes of many records in the order of pages.
#ifndef NEON_REDO_REPLAY_PAGE_ORDER_H_
#define NEON_REDO_REPLAY_PAGE_ORDER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "cpp_core/replay/record_batch.h"

namespace neon_redo {

// Reusable. Not thread-safe.
class PageOrder {
 public:
  // Changes of one block keep their order, and nearly all of them stand together. Valid until the
  // next call.
  std::span<const BlockChange> Sort(std::span<const BlockChange> changes);

 private:
  std::vector<BlockChange> sorted_;
  std::vector<uint32_t> ends_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_PAGE_ORDER_H_

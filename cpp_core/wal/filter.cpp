#include "cpp_core/wal/filter.h"

namespace neon_redo {

bool WalFilter::MatchesBlocks(const RecordView& record) const {
  bool found = !relation && !fork && !block;
  bool image = !full_page;
  for (int id = 0; id <= record.max_block_id() && !(found && image); id++) {
    const BlockRef* b = record.block(id);
    if (b == nullptr) continue;
    found = found || ((!relation || *relation == b->tag.rel) && (!fork || *fork == b->tag.fork) &&
                      (!block || *block == b->tag.block));
    image = image || b->has_image;
  }
  return found && image;
}

}  // namespace neon_redo

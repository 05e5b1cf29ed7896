#include "cpp_core/wal/stats.h"

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"

namespace neon_redo {

void WalStats::Add(const RecordView& record, Lsn end) {
  uint64_t images = 0;
  for (int id = 0; id <= record.max_block_id(); id++) {
    if (const BlockRef* b = record.block(id)) images += b->image.size();
  }
  int operation = record.header().info >> 4;
  if (record.rmid() == kRmXact) operation &= layout::kOperationMask >> 4;
  end_lsn_ = end;
  counts_[record.rmid()][operation].Add({1, record.header().total_length - images, images});
}

}  // namespace neon_redo

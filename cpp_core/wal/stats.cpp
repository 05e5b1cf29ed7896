#include "cpp_core/wal/stats.h"

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"

namespace neon_redo {

void WalStats::Add(const RecordView& record) {
  uint64_t images = 0;
  for (int id = 0; id <= record.max_block_id(); id++) {
    if (const BlockRef* b = record.block(id)) images += b->image.size();
  }
  int operation = record.header().info >> 4;
  if (record.rmid() == kRmXact) operation &= layout::kOperationMask >> 4;
  counts_[record.rmid()][operation].Add({1, record.header().total_length - images, images});
}

Status WalStats::AddAll(WalReader* reader, std::optional<uint8_t> rmgr) {
  RecordView view(reader->version());
  WalRecord record;
  while (reader->Next(&record)) {
    if (!first_lsn_.valid()) first_lsn_ = record.start;
    if (rmgr && LoadNative<RecordHeader>(record.bytes.data()).rmid != *rmgr) continue;
    if (view.Parse(record.bytes)) [[unlikely]]
      return ParseRecord(record, &view);
    Add(view);
    end_lsn_ = record.end;
  }
  if (reader->error()) return tl::unexpected(*reader->error());
  return {};
}

}  // namespace neon_redo

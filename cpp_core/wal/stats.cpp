#include "cpp_core/wal/stats.h"

#include "cpp_core/wal/rmgr.h"

namespace neon_redo {

void WalStats::Add(const RecordView& record) {
  uint64_t images = 0;
  for (int id = 0; id <= record.max_block_id(); id++) {
    if (const BlockRef* b = record.block(id)) images += b->image.size();
  }
  int operation = record.header().info >> 4;
  if (record.rmid() == kRmXact) operation &= 0x07;  // the high bit is a flag: XLOG_XACT_OPMASK
  counts_[record.rmid()][operation].Add({1, record.header().total_length - images, images});
}

Status WalStats::AddAll(WalReader* reader, std::optional<uint8_t> rmgr) {
  RecordView view;
  for (;;) {
    auto next = reader->Next();
    if (!next) return tl::unexpected(next.error());
    if (!*next) return {};
    const WalRecord& record = **next;
    if (!first_lsn_.valid()) first_lsn_ = record.start;
    if (rmgr && LoadNative<RecordHeader>(record.bytes.data()).rmid != *rmgr) continue;
    if (Status s = ParseRecord(record, &view); !s) return s;
    Add(view);
    end_lsn_ = record.end;
  }
}

}  // namespace neon_redo

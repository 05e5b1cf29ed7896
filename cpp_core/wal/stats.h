// Counts and sizes of WAL records by resource manager and operation (pg_waldump --stats).
#ifndef NEON_REDO_WAL_STATS_H_
#define NEON_REDO_WAL_STATS_H_

#include <array>
#include <cstdint>

#include "cpp_core/wal/record.h"
#include "cpp_core/wal/rmgr.h"

namespace neon_redo {

struct WalCounts {
  uint64_t records = 0;
  uint64_t record_bytes = 0;  // without images
  uint64_t image_bytes = 0;   // of full-page images, as stored

  void Add(const WalCounts& other) {
    records += other.records;
    record_bytes += other.record_bytes;
    image_bytes += other.image_bytes;
  }
};

// A value of about 100 kB.
class WalStats {
 public:
  void Add(const RecordView& record) {
    uint64_t images = 0;
    for (int id = 0; id <= record.max_block_id(); id++) {
      if (const BlockRef* b = record.block(id)) images += b->image.size();
    }
    int operation = record.header().info >> 4;
    if (record.rmid() == kRmXact) operation &= 0x07;  // the high bit is a flag: XLOG_XACT_OPMASK
    counts_[record.rmid()][operation].Add({1, record.header().total_length - images, images});
  }

  // operation: the high four bits of xl_info, as a number below 16.
  const WalCounts& Of(uint8_t rmid, int operation) const { return counts_[rmid][operation]; }
  WalCounts OfRmgr(uint8_t rmid) const {
    WalCounts sum;
    for (const WalCounts& c : counts_[rmid]) sum.Add(c);
    return sum;
  }
  WalCounts Total() const {
    WalCounts sum;
    for (int rmid = 0; rmid < 256; rmid++) sum.Add(OfRmgr(static_cast<uint8_t>(rmid)));
    return sum;
  }

 private:
  std::array<std::array<WalCounts, 16>, 256> counts_{};
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_STATS_H_

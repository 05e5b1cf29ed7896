// Counts and sizes of WAL records by resource manager and operation (pg_waldump --stats).
#ifndef NEON_REDO_WAL_STATS_H_
#define NEON_REDO_WAL_STATS_H_

#include <array>
#include <cstdint>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

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

// A value of about 100 kB. Not thread-safe.
class WalStats {
 public:
  // end: as WalRecord has it.
  void Add(const RecordView& record, Lsn end);
  // The start of the first record that was read, which need not be one that is added.
  void set_first_lsn(Lsn start) { first_lsn_ = start; }

  // As set, and the end of the last record that was added; 0 if none.
  Lsn first_lsn() const { return first_lsn_; }
  Lsn end_lsn() const { return end_lsn_; }

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
  Lsn first_lsn_;
  Lsn end_lsn_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_STATS_H_

// Whether a ledger fits what lies there now.
#ifndef NEON_REDO_VERIFY_LEDGER_CHECK_H_
#define NEON_REDO_VERIFY_LEDGER_CHECK_H_

#include <cstdint>
#include <string>

#include "cpp_core/verify/cluster_inputs.h"
#include "cpp_core/verify/ledger.h"
#include "neon_redo/error.h"
#include "neon_redo/verify.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Of one record: its place, and its CRC, which stands for its content. A segment's are added up.
uint64_t RecordSum(const WalRecord& record);

// What the backup and the segments are now, before any of it is read: a ledger in which nothing is proven yet.
// Waits up to a second where the backup was changed just now, so that its files' times tell of later changes.
Result<Ledger> TakeInventory(const ClusterInputs& inputs);

struct LedgerFit {
  std::string why_not{};  // all must be read; one line; empty: the ledger fits
  // The WAL is the proven one or continues it, so that it cannot end before.
  bool is_same_line = false;
  uint64_t files_read_again = 0;
  uint64_t segments_read_again = 0;
};
// before: an earlier run's. Reads what has changed on disk, and compares its content with what it was. Sets the
// hashes of *now, and the sums of segments before that of before.redo.
//
// kInvalidArgument: the ledger is another cluster's. kNotFound: segments that were there are gone, or their
// timeline is.
Result<LedgerFit> FitLedger(const VerifyOptions& options, const ClusterInputs& inputs,
                            const Ledger& before, Ledger* now);

// "2024-05-31 14:00:00 UTC"
std::string LedgerTime(int64_t seconds);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_LEDGER_CHECK_H_

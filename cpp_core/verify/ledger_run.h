// A verification that continues where an earlier one ended, or that a later one is to continue.
#ifndef NEON_REDO_VERIFY_LEDGER_RUN_H_
#define NEON_REDO_VERIFY_LEDGER_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "cpp_core/verify/cluster_inputs.h"
#include "cpp_core/verify/ledger.h"
#include "cpp_core/verify/made_blocks.h"
#include "cpp_core/verify/state_bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/verify.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// What the ledger is to one run. A run that resumes reads WAL from the segment that has the redo point of the
// last checkpoint, rebuilds pages from that point on, and gives the checks only what is after the proven end.
// Not thread-safe, except where it says so.
class LedgerRun {
 public:
  // now: what lies there (TakeInventory), of which nothing is proven yet; with `before`, that fits
  // (FitLedger). before: null, or outlives the object.
  LedgerRun(Ledger now, const Ledger* before) : now_(std::move(now)), before_(before) {}

  bool resumes() const { return before_ != nullptr; }
  // Of a run that resumes.
  const Ledger& before() const { return *before_; }

  Lsn read_from() const;
  Lsn replay_from() const { return resumes() ? before_->redo : now_.start; }
  bool Replays(Lsn start) const { return start >= replay_from(); }
  // The record is after what is proven.
  bool IsNew(Lsn start) const { return !resumes() || start >= before_->end; }

  // Each record that is read, in order; then EndOfWal.
  void Take(const WalRecord& record);
  void EndOfWal();
  // Each change of new records.
  void Take(const Change& change) { made_.Take(change); }
  // After all WAL: a block that it has made, and that is not the base backup's. Thread-safe.
  void AddMade(const BlockTag& tag);
  // After all WAL and before AddMade of the same block.
  bool HasMade(const BlockTag& tag) const;

  void Save(StateWriter* out) const { made_.Save(out); }
  void Load(StateReader* in) { made_.Load(in); }

  // What is proven cannot be relied on after all: all must be read. The first reason is kept. Thread-safe.
  void Doubt(const std::string& why);
  const std::string& doubt() const { return doubt_; }

  struct Proof {
    Lsn redo, end, backup_end;
    std::optional<int64_t> last_transaction;
    const std::map<std::string, uint64_t>* contents;  // of a run that does not resume, by name
    std::string state;
  };
  // The run has found nothing wrong.
  void Prove(Proof proof);
  // What is proven then. Nothing: why.
  tl::expected<Ledger, std::string> Finish(int64_t now) const;

 private:
  void CheckProven();
  uint64_t NumberOf(Lsn lsn) const { return lsn.value / now_.segment_size; }

  Ledger now_;
  const Ledger* const before_;
  std::map<uint64_t, uint64_t> sums_;  // by segment
  uint64_t number_ = UINT64_MAX;       // of the segment that `sum_` is of
  uint64_t* sum_ = nullptr;
  Lsn last_end_;  // of the last record that is not new
  bool has_replayed_ = false, is_checked_ = false, is_proven_ = false;
  MadeBlocks made_;
  mutable std::mutex mutex_;  // of made_, while threads finish pages, and of doubt_
  std::string doubt_;
};

// Runs the verification as the ledger allows, and writes the ledger.
using VerifyWith = std::function<Result<VerifyResult>(ClusterInputs inputs, LedgerRun* run)>;
Result<VerifyResult> VerifyWithLedger(const VerifyOptions& options, const BaseBackup& base,
                                      const VerifyWith& verify);

// The same rules for those who call the library. kInvalidArgument: an option does not go with a ledger.
Status CheckLedgerOptions(const VerifyOptions& options, bool compares);

// What Ingest knows, in a state.
void SaveIngest(const Ingest& ingest, StateWriter* out);
Ingest LoadIngest(StateReader* in);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_LEDGER_RUN_H_

// Pages kept current from a server's WAL as it comes, and compared with the images in it.
#ifndef NEON_REDO_VERIFY_LIVE_CHECK_H_
#define NEON_REDO_VERIFY_LIVE_CHECK_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "cpp_core/replay/rebuilder.h"
#include "cpp_core/verify/findings.h"
#include "neon_redo/error.h"
#include "neon_redo/record.h"
#include "neon_redo/verify.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// A block is known from its first image, or from the record that makes its page, on. From then on
// it is rebuilt, and compared with
//  - every image that is there for checking (wal_consistency_checking), after the record;
//  - every full-page image, if the record has all that it takes to apply it without the image: the
//    page so far and the record must give the image. Most records with an image lack the data.
// After a difference the image becomes the block's page.
//
// Not thread-safe. Memory as VerifyCluster's.
class LiveCheck {
 public:
  // on_mismatch: called by Take, for each as it is found; may be empty. memory outlives this.
  LiveCheck(const VerifyOptions& options, MemoryBudget* memory,
            std::function<void(const Mismatch&)> on_mismatch);

  // Records in the order of WAL. Errors as Rebuilder::Take.
  Status Take(const WalRecord& record, const RecordView& view, RedoWorker* worker);
  Status Finish(RedoWorker* worker);

  uint64_t compared() const { return compared_; }
  uint64_t different() const { return different_; }
  void AddTo(VerifyResult* result) const;

 private:
  using Entry = Rebuilder::Blocks::Entry;

  Status CompareFullPage(const WalRecord& record, const RecordView& view, int id,
                         RedoWorker* worker);
  Status CompareForChecking(const WalRecord& record, const RecordView& view, int id,
                            RedoWorker* worker);
  Status Adopt(const WalRecord& record, const RecordView& view, int id, Entry* entry);
  Status Compare(const WalRecord& record, const RecordView& view, int id, uint8_t mask_rmid);
  void ReportFailure(const WalRecord& record, const RecordView& view, const Entry& entry);
  void Report(const WalRecord& record, const RecordView& view, const BlockTag& tag, bool rebuilt,
              std::optional<uint32_t> offset, std::string problem);

  Rebuilder rebuilder_;
  const std::function<void(const Mismatch&)> on_mismatch_;
  Findings findings_;
  std::set<uint32_t> reported_;  // numbers of failures
  uint64_t compared_ = 0;
  uint64_t different_ = 0;
  alignas(64) uint8_t rebuilt_[kBlockSize];
  alignas(64) uint8_t image_[kBlockSize];
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_LIVE_CHECK_H_

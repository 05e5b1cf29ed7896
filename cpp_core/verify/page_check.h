// Rebuilt pages against the pages of a cluster at rest.
#ifndef NEON_REDO_VERIFY_PAGE_CHECK_H_
#define NEON_REDO_VERIFY_PAGE_CHECK_H_

#include <cstdint>
#include <string>

#include "cpp_core/replay/page_replay.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/findings.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// Not thread-safe.
class PageCheck {
 public:
  // data_directory: empty when there is nothing to compare with. checksums: the cluster has data
  // checksums.
  // settled: when valid, data_directory is a base backup itself, and pages that were changed later
  // may be older or newer in it.
  PageCheck(const std::string& data_directory, const std::string& base_backup,
            const pg::Version& version, bool checksums, Lsn settled)
      : version_(version),
        data_(data_directory, &version),
        base_(base_backup, &version),
        compares_(!data_directory.empty()),
        checksums_(checksums),
        settled_(settled) {}

  // Compares a block that is not in state kSpoilt. Changes its page.
  void Check(FinishedBlock* block);

  const Findings& findings() const { return findings_; }
  uint64_t pages_compared() const { return pages_compared_; }
  uint64_t pages_replayed() const { return pages_replayed_; }

 private:
  void Replayed(const BlockState& block);
  void Compare(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt);
  // What is wrong with disk_. masked: the rebuilt page, masked.
  Damage Diagnose(const BlockTag& tag, Lsn rebuilt_lsn, uint8_t rmid, const uint8_t* masked,
                  bool wrong_checksum);
  // masked_disk_ is masked too.
  bool IsTorn(const BlockTag& tag, uint8_t rmid, const uint8_t* masked, bool lsn_is_right);
  void Report(const BlockTag& tag, const BlockState& block, std::string problem,
              Damage damage = Damage::kNone, std::optional<uint32_t> offset = {});

  const pg::Version& version_;
  RelationFiles data_, base_;
  const bool compares_, checksums_;
  const Lsn settled_;
  Findings findings_;
  uint64_t pages_compared_ = 0, pages_replayed_ = 0;
  alignas(64) uint8_t disk_[kBlockSize];
  alignas(64) uint8_t masked_disk_[kBlockSize];
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_PAGE_CHECK_H_

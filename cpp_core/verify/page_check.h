// Rebuilt pages against the pages of a cluster at rest.
#ifndef NEON_REDO_VERIFY_PAGE_CHECK_H_
#define NEON_REDO_VERIFY_PAGE_CHECK_H_

#include <cstdint>
#include <string>

#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/rebuilder.h"
#include "cpp_core/verify/result.h"

namespace neon_redo {

// Not thread-safe.
class PageCheck {
 public:
  // checksums: the cluster has data checksums.
  PageCheck(const std::string& data_directory, bool checksums)
      : data_(data_directory), checksums_(checksums) {}

  // Compares a block that no worker is asked about and that is not spoilt. Its page is of no use
  // afterwards, and released.
  void Check(Rebuilder* rebuilder, Rebuilder::Blocks::Entry* entry);

  const Findings& findings() const { return findings_; }
  uint64_t pages_compared() const { return pages_compared_; }

 private:
  void Compare(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt);
  void Report(const BlockTag& tag, const BlockState& block, std::optional<uint32_t> offset,
              std::string problem);

  RelationFiles data_;
  const bool checksums_;
  Findings findings_;
  uint64_t pages_compared_ = 0;
  alignas(64) uint8_t disk_[kBlockSize];
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_PAGE_CHECK_H_

// Where PostgreSQL's records went, and why: one count for each resource manager, operation and way.
#ifndef NEON_REDO_REDO_MANAGER_RECORD_COUNTS_H_
#define NEON_REDO_REDO_MANAGER_RECORD_COUNTS_H_

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "cpp_core/pg/rmgr.h"
#include "neon_redo/bytes.h"
#include "neon_redo/manager.h"
#include "neon_redo/version.h"

namespace neon_redo {

class RedoMetrics;

// Thread-safe.
class RecordCounts {
 public:
  // metrics may be null; otherwise it counts as well, and must outlive this.
  explicit RecordCounts(RedoMetrics* metrics) : metrics_(metrics) {}

  // record: at least a record's header.
  void Add(Bytes record, RecordWay way) { Add(record, way, 1); }
  // All are PostgreSQL's.
  void AddAll(std::span<const PageRecord> records, RecordWay way);

  // What is not zero. version: of the records.
  std::vector<RecordKindCounts> Kinds(const pg::Version& version) const;

 private:
  // n of one kind.
  void Add(Bytes record, RecordWay way, uint64_t n);

  // All resource managers of extensions share the last place.
  static constexpr size_t kRmgrs = kMaxBuiltinRmgr + 2;
  static constexpr size_t kOperations = 16;  // the high four bits of xl_info

  RedoMetrics* const metrics_;
  std::atomic<uint64_t> counts_[kRmgrs][kOperations][kRecordWays] = {};
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_RECORD_COUNTS_H_

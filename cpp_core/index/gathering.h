// The entries of a stretch of WAL, gathered in memory as far as they have room.
#ifndef NEON_REDO_INDEX_GATHERING_H_
#define NEON_REDO_INDEX_GATHERING_H_

#include <cstddef>
#include <vector>

#include "cpp_core/base/directory.h"
#include "cpp_core/index/collector.h"
#include "cpp_core/index/cover.h"
#include "cpp_core/index/file.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// What needs more than `memory` bytes is written to files without a name, and merged in the end. Not
// thread-safe.
class Gathering {
 public:
  // header: names the segments. end: where they end.
  Gathering(const Directory& directory, const IndexHeader& header, Lsn end, size_t memory);

  // As Collector. kIo: a file cannot be written.
  Status Take(const ChangeList& changes, const RecordView& view, const WalRecord& record) {
    if (collector_.memory() > memory_) [[unlikely]] {
      if (Status status = PutAside(); !status) return status;
    }
    collector_.Take(changes, view, record);
    return {};
  }
  // All entries. Nothing may be taken afterwards.
  Status Write(IndexFileWriter* writer);

 private:
  Status PutAside();

  const Directory& directory_;
  IndexHeader header_;
  const size_t memory_;
  Collector collector_;
  std::vector<IndexView> runs_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_GATHERING_H_

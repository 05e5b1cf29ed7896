// Changes by key, found by an index and read from WAL.
#ifndef NEON_REDO_INDEX_INDEXED_CHANGES_H_
#define NEON_REDO_INDEX_INDEXED_CHANGES_H_

#include <cstdint>
#include <vector>

#include "cpp_core/index/indexed_records.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/store/change_source.h"
#include "neon_redo/ingest.h"
#include "neon_redo/record.h"

namespace neon_redo {

class IndexedChanges : public ChangeSource {
 public:
  // Changes by records that start at `from` or later, where the base backup's replay begins.
  // track_commit_timestamp: whether the cluster keeps them there. The index must outlive the object. threads:
  // how many have such an object; they share the files that may be open.
  IndexedChanges(WalIndex* index, Lsn from, bool track_commit_timestamp, size_t threads = 1);

  // kUnsupported: WAL between `from` and lsn was written with wal_level=minimal.
  Status CheckWalLevel(Lsn lsn);

  // kCorrupt: WAL has no such record where the index says so.
  Result<std::vector<StoredChange>> Get(const PageKey& key, Lsn lsn) override;

 private:
  Status Read(Lsn start, Ingest* ingest);
  Result<std::vector<IndexEntry>> WithStateOf(const PageKey& key, Lsn lsn);
  Result<std::vector<StoredChange>> GetInOrder(const PageKey& key, Lsn lsn);
  Status TakeAllBetween(Lsn from, Lsn to, Ingest* ingest);
  void Append(const PageKey& key, std::vector<StoredChange>* out);

  WalIndex& index_;
  const Lsn from_;
  const bool track_commit_timestamp_;
  IndexedRecords records_;
  Ingest ingest_;                        // of records whose changes do not depend on others
  const ChangeList* changes_ = nullptr;  // of the record that was read last
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_INDEXED_CHANGES_H_

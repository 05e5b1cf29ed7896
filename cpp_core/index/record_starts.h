// Where the records start that a replay of some pages, or a list of their changes, needs.
#ifndef NEON_REDO_INDEX_RECORD_STARTS_H_
#define NEON_REDO_INDEX_RECORD_STARTS_H_

#include <cstdint>
#include <vector>

#include "cpp_core/index/wal_index.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// Gathers starts of records that start at `from` or later, and before `to`. Not thread-safe. Errors are the index's.
class RecordStarts {
 public:
  // The index must outlive it.
  RecordStarts(WalIndex* index, Lsn from, Lsn to) : index_(*index), from_(from), to_(to) {}

  // Of the page's records those that its last state before `to` needs: from its last image on.
  Status AddNeeded(const PageKey& page);
  Status AddAll(const PageKey& key);
  // Records that make, cut off or drop the fork.
  Status AddFork(const RelFileNode& rel, uint8_t fork);
  // Records that make, copy or drop the database in the tablespace.
  Status AddDatabase(uint32_t tablespace, uint32_t database);
  // Checkpoints, and what else concerns the cluster.
  Status AddCluster();

  // All of them in ascending order, each once. Nothing may be added after.
  std::vector<Lsn> Take();

 private:
  WalIndex& index_;
  const Lsn from_, to_;
  std::vector<Lsn> starts_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_RECORD_STARTS_H_

// How and when transactions ended, as WAL has it.
#ifndef NEON_REDO_INDEX_TRANSACTIONS_H_
#define NEON_REDO_INDEX_TRANSACTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cpp_core/base/hash_key.h"
#include "cpp_core/index/indexed_records.h"
#include "cpp_core/index/wal_index.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// The record of a commit or an abort.
struct TransactionEndRecord {
  Lsn start;
  int64_t time;  // TimestampTz
  uint32_t xid;  // of the transaction or subtransaction whose record it is
  bool is_committed;
};

// The record's transaction, or the one that it is known to be a part of; 0: none.
uint32_t TransactionOf(const RecordView& view);

// Calls take for each commit that starts between these two, in the order of WAL, and once for each, whatever a
// damaged file makes of WalIndex::ForEach.
Status ForEachCommit(WalIndex* index, Lsn from, Lsn to,
                     const std::function<void(const IndexEntry&)>& take);

// Whether the record that starts there ends at or before `to`.
Result<bool> EndsBy(IndexedRecords* records, Lsn start, Lsn to);

// The ends of some transactions, also of subtransactions. A number may be used again after 2^32 others. Not
// thread-safe.
class Transactions {
 public:
  // A record of this transaction starts there.
  void Want(uint32_t xid, Lsn start);
  // Finds the ends of all that are wanted.
  Status Find(WalIndex* index);
  // The transaction's first end at or after this place; null: it has none in the WAL.
  const TransactionEndRecord* After(Lsn start, uint32_t xid) const;

 private:
  struct Wanted {
    Lsn last;  // of its records that are asked about
    std::vector<TransactionEndRecord> ends;
  };
  Status FindByPages(WalIndex* index);

  Lsn first_{~uint64_t{0}};
  std::unordered_map<uint32_t, Wanted, KeyedHash> wanted_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_TRANSACTIONS_H_

// The past of a page or a relation.
#ifndef NEON_REDO_INDEX_HISTORY_H_
#define NEON_REDO_INDEX_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "cpp_core/index/wal_index.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

struct HistoryOptions {
  // Of this page; of all pages of its relation, and of the relation as a whole, with is_relation.
  PageKey key{};
  bool is_relation = false;
  // Records that start at the first or later, and end at the second or before.
  Lsn from{}, to{~uint64_t{0}};
  std::optional<uint32_t> xid{};  // of this transaction
  // Only of transactions that committed at the first time or later, and before the second.
  std::optional<int64_t> after{}, before{};
  std::optional<size_t> limit{};  // the last so many

  bool has_times() const { return after || before; }
};

struct HistoryRecord {
  WalRecord record;
  const RecordView& view;
  // When its transaction committed, in microseconds since 2000-01-01 UTC; nothing: the WAL does not have
  // its commit.
  std::optional<int64_t> committed;
};

// Where the records of a page or relation start that are between `from` and `to`, in ascending order.
Result<std::vector<Lsn>> FindRecordsOf(WalIndex* index, const HistoryOptions& options);

// Calls the sink for each record, in the order of WAL, until it fails. What is passed is valid during the
// call. Returns how many there were. Memory: 8 bytes for a record. Errors as of WalIndex and RecordSource.
using HistorySink = std::function<Status(const HistoryRecord&)>;
Result<uint64_t> ReadHistory(WalIndex* index, const HistoryOptions& options,
                             const HistorySink& sink);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_HISTORY_H_

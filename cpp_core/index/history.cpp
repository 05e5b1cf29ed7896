// The index says which records these are. Each is read twice: for its transaction, and, once it is known
// which transactions committed and when, for the sink.
#include "cpp_core/index/history.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cpp_core/base/try.h"
#include "cpp_core/index/transactions.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

Result<std::vector<Lsn>> FindRecordsOf(WalIndex* index, const HistoryOptions& options) {
  std::vector<Lsn> out;
  const auto add = [&](const PageKey& first, const PageKey& last) {
    return index->ForEach(first, last, options.from, options.to,
                          [&out](const IndexEntry& entry) { out.push_back(entry.start); });
  };
  PageKey first = options.key, last = options.key;
  if (options.is_relation) {
    first.field5 = 0;
    last.field5 = 0xff;
    first.field6 = 0;
    last.field6 = UINT32_MAX;
  }
  RETURN_IF_ERROR(add(first, last));
  if (first.field1 == PageKey::kSlru) {
    const PageKey cuts = SlruKey(static_cast<SlruKind>(first.field2));
    RETURN_IF_ERROR(add(cuts, cuts));
  } else {
    const PageKey database = DatabaseKey(first.field2, first.field3);
    RETURN_IF_ERROR(add(database, database));
    const PageKey cuts = CutKey({first.field2, first.field3, first.field4}, first.field5);
    if (!options.is_relation) RETURN_IF_ERROR(add(cuts, cuts));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  // Of records in a row, only the last one may end later.
  if (out.empty()) return out;
  IndexedRecords records(*index);
  ASSIGN_OR_RETURN(const bool is_whole, EndsBy(&records, out.back(), options.to));
  if (!is_whole) out.pop_back();
  return out;
}

Result<uint64_t> ReadHistory(WalIndex* index, const HistoryOptions& options,
                             const HistorySink& sink) {
  ASSIGN_OR_RETURN(auto starts, FindRecordsOf(index, options));
  IndexedRecords records(*index);
  if (options.limit && !options.xid && !options.has_times() && starts.size() > *options.limit)
    starts.erase(starts.begin(), starts.end() - static_cast<ptrdiff_t>(*options.limit));
  Transactions transactions;
  std::vector<Lsn> wanted;
  for (const Lsn start : starts) {
    RETURN_IF_ERROR(records.Read(start));
    const RecordView& view = records.view();
    if (options.xid && view.header().xid != *options.xid && TransactionOf(view) != *options.xid)
      continue;
    wanted.push_back(start);
    transactions.Want(TransactionOf(view), start);
  }
  if (options.limit && !options.has_times() && wanted.size() > *options.limit)
    wanted.erase(wanted.begin(), wanted.end() - static_cast<ptrdiff_t>(*options.limit));
  RETURN_IF_ERROR(transactions.Find(index));
  const auto committed = [&](Lsn start) -> std::optional<int64_t> {
    const auto* end = transactions.After(start, TransactionOf(records.view()));
    if (end == nullptr || !end->is_committed) return std::nullopt;
    return end->time;
  };
  if (options.has_times()) {
    std::vector<Lsn> in_time;
    for (const Lsn start : wanted) {
      RETURN_IF_ERROR(records.Read(start));
      const auto time = committed(start);
      if (time && (!options.after || *time >= *options.after) &&
          (!options.before || *time < *options.before))
        in_time.push_back(start);
    }
    wanted = std::move(in_time);
    if (options.limit && wanted.size() > *options.limit)
      wanted.erase(wanted.begin(), wanted.end() - static_cast<ptrdiff_t>(*options.limit));
  }
  for (const Lsn start : wanted) {
    RETURN_IF_ERROR(records.Read(start));
    RETURN_IF_ERROR(sink({records.record(), records.view(), committed(start)}));
  }
  return wanted.size();
}

}  // namespace neon_redo

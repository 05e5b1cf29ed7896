// The index says which records these are. Each is read twice: for its transaction, and, once it is known
// which transactions committed and when, for the sink.
#include "cpp_core/index/history.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cpp_core/base/hash_key.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/record_source.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

namespace {

// The record's transaction, or the one that it is a part of.
uint32_t TransactionOf(const RecordView& view) {
  return view.toplevel_xid() != 0 ? view.toplevel_xid() : view.header().xid;
}

// A transaction's number may be used again after 2^32 others.
class Commits {
 public:
  void Want(uint32_t xid) { found_.try_emplace(xid); }
  Status Find(WalIndex* index, Lsn from) {
    return index->ForEach(kCommitsKey, kCommitsKey, from, Lsn(~uint64_t{0}),
                          [this](const IndexEntry& entry) {
                            const auto wanted = found_.find(entry.xid);
                            if (wanted != found_.end())
                              wanted->second.emplace_back(entry.start, entry.time);
                          });
  }
  std::optional<int64_t> After(Lsn start, uint32_t xid) const {
    const auto wanted = found_.find(xid);
    if (wanted == found_.end()) return std::nullopt;
    for (const auto& [commit, time] : wanted->second)
      if (commit >= start) return time;
    return std::nullopt;
  }

 private:
  std::unordered_map<uint32_t, std::vector<std::pair<Lsn, int64_t>>, KeyedHash> found_;
};

// Where the records start.
Result<std::vector<Lsn>> FindStarts(WalIndex* index, const HistoryOptions& options) {
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
  return out;
}

}  // namespace

Result<uint64_t> ReadHistory(WalIndex* index, const HistoryOptions& options,
                             const HistorySink& sink) {
  ASSIGN_OR_RETURN(auto starts, FindStarts(index, options));
  RecordSource records(index->segments(), index->identity());
  RecordView view(*index->identity().version);
  WalRecord record;
  const auto read = [&](Lsn start) -> Status {
    ASSIGN_OR_RETURN(record, records.Read(start));
    return ParseRecord(record, &view);
  };
  if (options.limit && !options.xid && starts.size() > *options.limit)
    starts.erase(starts.begin(), starts.end() - static_cast<ptrdiff_t>(*options.limit));
  Commits commits;
  std::vector<Lsn> wanted;
  for (const Lsn start : starts) {
    RETURN_IF_ERROR(read(start));
    if (options.xid && view.header().xid != *options.xid && TransactionOf(view) != *options.xid)
      continue;
    wanted.push_back(start);
    if (TransactionOf(view) != 0) commits.Want(TransactionOf(view));
  }
  if (options.limit && wanted.size() > *options.limit)
    wanted.erase(wanted.begin(), wanted.end() - static_cast<ptrdiff_t>(*options.limit));
  if (!wanted.empty()) RETURN_IF_ERROR(commits.Find(index, wanted.front()));
  for (const Lsn start : wanted) {
    RETURN_IF_ERROR(read(start));
    RETURN_IF_ERROR(sink({record, view, commits.After(start, TransactionOf(view))}));
  }
  return wanted.size();
}

}  // namespace neon_redo

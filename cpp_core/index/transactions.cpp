// Commits are in the index by their transaction. Aborts and subtransactions are among the records of their
// page of pg_xact, which are read until all are found.
#include "cpp_core/index/transactions.h"

#include <algorithm>
#include <set>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

uint32_t TransactionOf(const RecordView& view) {
  return view.toplevel_xid() != 0 ? view.toplevel_xid() : view.header().xid;
}

Status ForEachCommit(WalIndex* index, Lsn from, Lsn to,
                     const std::function<void(const IndexEntry&)>& take) {
  std::optional<Lsn> last;
  return index->ForEach(kCommitsKey, kCommitsKey, from, to, [&](const IndexEntry& entry) {
    if (last && entry.start <= *last) return;
    last = entry.start;
    take(entry);
  });
}

Result<bool> EndsBy(IndexedRecords* records, Lsn start, Lsn to) {
  RETURN_IF_ERROR(records->Read(start));
  return records->record().end <= to;
}

void Transactions::Want(uint32_t xid, Lsn start) {
  if (xid == 0) return;
  Wanted& wanted = wanted_[xid];
  wanted.last = std::max(wanted.last, start);
  first_ = std::min(first_, start);
}

Status Transactions::Find(WalIndex* index) {
  if (wanted_.empty()) return {};
  RETURN_IF_ERROR(ForEachCommit(index, first_, Lsn(~uint64_t{0}), [this](const IndexEntry& entry) {
    const auto wanted = wanted_.find(entry.xid);
    if (wanted != wanted_.end())
      wanted->second.ends.push_back({entry.start, entry.time, entry.xid, true});
  }));
  return FindByPages(index);
}

Status Transactions::FindByPages(WalIndex* index) {
  std::set<PageKey> pages;
  const auto is_open = [](const Wanted& wanted) {
    return wanted.ends.empty() || wanted.ends.back().start < wanted.last;
  };
  size_t open = 0;
  for (const auto& [xid, wanted] : wanted_) {
    if (!is_open(wanted)) continue;
    open++;
    pages.insert(SlruKeyOfEntry(SlruKind::kClog, xid));
  }
  IndexedRecords records(*index);
  for (const PageKey& page : pages) {
    ASSIGN_OR_RETURN(const auto entries, index->GetAll(page, first_, Lsn(~uint64_t{0})));
    for (size_t i = 0; i < entries.size() && open > 0; i++) {
      RETURN_IF_ERROR(records.Read(entries[i].start));
      ASSIGN_OR_RETURN(const ChangeList* changes, records.Changes());
      uint32_t top = 0;
      for (const Change& change : *changes) {
        const bool commits = change.kind == ChangeKind::kClogCommitted;
        if (!commits && change.kind != ChangeKind::kClogAborted) continue;
        if (change.number != 0) top = change.number;
        const auto end = [&](uint32_t xid) {
          const auto wanted = wanted_.find(xid);
          if (wanted == wanted_.end() || !is_open(wanted->second)) return;
          wanted->second.ends.push_back({entries[i].start, change.time, top, commits});
          open -= is_open(wanted->second) ? 0 : 1;
        };
        if (change.number != 0) end(change.number);
        for (size_t at = 0; at + 4 <= change.payload.size(); at += 4)
          end(LoadNative<uint32_t>(change.payload.data() + at));
      }
    }
  }
  return {};
}

const TransactionEndRecord* Transactions::After(Lsn start, uint32_t xid) const {
  const auto wanted = wanted_.find(xid);
  if (wanted == wanted_.end()) return nullptr;
  for (const TransactionEndRecord& end : wanted->second.ends)
    if (end.start >= start) return &end;
  return nullptr;
}

}  // namespace neon_redo

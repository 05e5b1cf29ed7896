// What is asked for is chosen by the index, which has times and transactions of commits; only records that
// are shown are read, or looked into for what the index does not have.
#include "cpp_core/index/find.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/checkpoint.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/keys.h"
#include "cpp_core/wal/commit_time.h"
#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

constexpr Lsn kEndOfAll(~uint64_t{0});

// A record that may be shown.
struct Candidate {
  Lsn start;
  EventKind kind;
  // Of a commit: recovery to its time stops after it.
  bool has_exact_time = false;
  Lsn cause{};  // of kBeforeDrop: the drop
};

std::string TextOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string CountText(size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// What the changes of a commit or abort say.
struct XactFacts {
  uint32_t xid = 0;
  size_t subtransactions = 0, dropped = 0;
};

XactFacts FactsOf(const ChangeList& changes) {
  XactFacts out;
  for (const Change& change : changes) {
    if (change.kind == ChangeKind::kClogCommitted || change.kind == ChangeKind::kClogAborted) {
      if (change.number != 0) out.xid = change.number;
      out.subtransactions += change.payload.size() / 4;
    }
    out.dropped += change.kind == ChangeKind::kDropRelation;
  }
  return out;
}

class Finder {
 public:
  Finder(WalIndex* index, const FindOptions& options, const EventSink& sink)
      : index_(*index), options_(options), sink_(sink), records_(*index) {}

  Result<uint64_t> Run() {
    if (options_.commits || options_.aborts) RETURN_IF_ERROR(FindTransactions());
    if (options_.restore_points)
      RETURN_IF_ERROR(AddOfCluster(ChangeKind::kRestorePoint, EventKind::kRestorePoint));
    if (options_.checkpoints)
      RETURN_IF_ERROR(AddOfCluster(ChangeKind::kCheckpoint, EventKind::kCheckpoint));
    if (options_.timelines)
      RETURN_IF_ERROR(AddOfCluster(ChangeKind::kTimeline, EventKind::kTimeline));
    return Show();
  }

  Result<uint64_t> RunDrops(const std::vector<RelFileNode>& relations) {
    drops_ = true;
    ASSIGN_OR_RETURN(const auto drops, DropsOf(relations));
    if (!drops.empty()) RETURN_IF_ERROR(FindLastCommits(drops));
    return Show();
  }

 private:
  bool IsInTime(int64_t time) const {
    return (!options_.after || time >= *options_.after) &&
           (!options_.before || time < *options_.before);
  }

  Status AddOfCluster(ChangeKind change, EventKind kind) {
    return index_.ForEach(ClusterKey(change), ClusterKey(change), options_.from, options_.to,
                          [&](const IndexEntry& entry) {
                            found_.push_back({entry.start, kind});
                          });
  }

  Status FindTransactions() {
    if (options_.xid) return FindTransaction(*options_.xid);
    if (options_.changes) return FindChanging();
    if (options_.commits) RETURN_IF_ERROR(FindCommits(nullptr));
    if (options_.aborts) RETURN_IF_ERROR(FindAborts());
    return {};
  }

  // wanted: only these records; null: all.
  Status FindCommits(const std::unordered_set<uint64_t>* wanted) {
    // Of the last commit that was found, until the next one is seen: its time.
    std::optional<int64_t> open;
    std::optional<int64_t> latest;
    return ForEachCommit(&index_, Lsn(), kEndOfAll, [&](const IndexEntry& entry) {
      // The next one is replayed, too, if it has the same time.
      if (open && *open >= entry.time) found_.back().has_exact_time = false;
      open = std::nullopt;
      const bool is_late = !latest || entry.time >= *latest;
      if (is_late) latest = entry.time;
      if (entry.start < options_.from || entry.start >= options_.to || !IsInTime(entry.time) ||
          (wanted != nullptr && !wanted->contains(entry.start.value)))
        return;
      found_.push_back({entry.start, EventKind::kCommit, is_late});
      open = entry.time;
    });
  }

  // They are among the records of pg_xact's pages that are no commits.
  Status FindAborts() {
    std::unordered_set<uint64_t> commits;
    RETURN_IF_ERROR(
        index_.ForEach(kCommitsKey, kCommitsKey, options_.from, options_.to,
                       [&](const IndexEntry& entry) { commits.insert(entry.start.value); }));
    PageKey first = PageKey::OfSlruBlock({SlruKind::kClog, 0, 0});
    PageKey last = PageKey::OfSlruBlock({SlruKind::kClog, UINT32_MAX, UINT32_MAX});
    std::vector<Lsn> others;
    RETURN_IF_ERROR(
        index_.ForEach(first, last, options_.from, options_.to, [&](const IndexEntry& entry) {
          if (!commits.contains(entry.start.value)) others.push_back(entry.start);
        }));
    for (const Lsn start : others) RETURN_IF_ERROR(AddAbort(start));
    return {};
  }

  Status AddAbort(Lsn start) {
    RETURN_IF_ERROR(records_.Read(start));
    const auto time = TransactionEnd(records_.view());
    if (time && IsInTime(*time)) found_.push_back({start, EventKind::kAbort});
    return {};
  }

  // The records of these transactions' ends.
  Status AddEnds(const Transactions& transactions,
                 const std::vector<std::pair<uint32_t, Lsn>>& of) {
    std::unordered_set<uint64_t> commits, aborts;
    for (const auto& [xid, start] : of) {
      const TransactionEndRecord* end = transactions.After(start, xid);
      if (end != nullptr) (end->is_committed ? commits : aborts).insert(end->start.value);
    }
    if (options_.commits) RETURN_IF_ERROR(FindCommits(&commits));
    if (!options_.aborts) return {};
    for (const uint64_t start : aborts)
      if (Lsn(start) >= options_.from && Lsn(start) < options_.to)
        RETURN_IF_ERROR(AddAbort(Lsn(start)));
    return {};
  }

  Status FindTransaction(uint32_t xid) {
    Transactions transactions;
    transactions.Want(xid, options_.from);
    RETURN_IF_ERROR(transactions.Find(&index_));
    return AddEnds(transactions, {{xid, options_.from}});
  }

  // A transaction's records may be before `from`.
  Status FindChanging() {
    HistoryOptions changes = *options_.changes;
    changes.from = Lsn();
    changes.to = options_.to;
    ASSIGN_OR_RETURN(const auto starts, FindRecordsOf(&index_, changes));
    Transactions transactions;
    std::vector<std::pair<uint32_t, Lsn>> of;
    for (const Lsn start : starts) {
      RETURN_IF_ERROR(records_.Read(start));
      const uint32_t xid = TransactionOf(records_.view());
      if (xid == 0 || (!of.empty() && of.back().first == xid)) continue;
      of.emplace_back(xid, start);
      transactions.Want(xid, start);
    }
    RETURN_IF_ERROR(transactions.Find(&index_));
    return AddEnds(transactions, of);
  }

  Result<uint64_t> Show() {
    const auto place = [](const Candidate& c) { return std::tuple(c.start, c.kind, c.cause); };
    std::sort(found_.begin(), found_.end(),
              [&](const Candidate& a, const Candidate& b) { return place(a) < place(b); });
    // A file of the index that is damaged is read twice.
    const auto is_same = [&](const Candidate& a, const Candidate& b) {
      return place(a) == place(b);
    };
    found_.erase(std::unique(found_.begin(), found_.end(), is_same), found_.end());
    while (!drops_ && !found_.empty()) {
      ASSIGN_OR_RETURN(const bool is_whole, EndsBy(&records_, found_.back().start, options_.to));
      if (is_whole) break;
      found_.pop_back();
    }
    RETURN_IF_ERROR(FindNames());
    std::vector<Event> kept;  // with a limit, and a condition on what only the record has
    uint64_t count = 0;
    const bool reads = !drops_ && (options_.restore_point || options_.after || options_.before);
    if (options_.limit && !reads && found_.size() > *options_.limit)
      found_.erase(found_.begin(), found_.end() - static_cast<ptrdiff_t>(*options_.limit));
    for (const Candidate& candidate : found_) {
      Event event;
      ASSIGN_OR_RETURN(const bool is_wanted, Describe(candidate, &event));
      if (!is_wanted) continue;
      if (options_.limit && reads) {
        kept.push_back(std::move(event));
        if (kept.size() > *options_.limit) kept.erase(kept.begin());
        continue;
      }
      RETURN_IF_ERROR(sink_(event));
      count++;
    }
    for (const Event& event : kept) RETURN_IF_ERROR(sink_(event));
    return count + kept.size();
  }

  // The first restore point of each name, of which there may be several.
  Status FindNames() {
    if (std::none_of(found_.begin(), found_.end(),
                     [](const Candidate& c) { return c.kind == EventKind::kRestorePoint; }))
      return {};
    const PageKey key = ClusterKey(ChangeKind::kRestorePoint);
    ASSIGN_OR_RETURN(const auto all, index_.GetAll(key, Lsn(), kEndOfAll));
    for (const IndexEntry& entry : all) {
      RETURN_IF_ERROR(records_.Read(entry.start));
      ASSIGN_OR_RETURN(const ChangeList* changes, records_.Changes());
      for (const Change& change : *changes)
        if (change.kind == ChangeKind::kRestorePoint)
          first_of_name_.emplace(TextOf(change.payload), entry.start);
    }
    return {};
  }

  // False: it is none that is asked for.
  Result<bool> Describe(const Candidate& candidate, Event* out) {
    // Of a drop before which there is no commit: the drop.
    RETURN_IF_ERROR(records_.Read(candidate.start.valid() ? candidate.start : candidate.cause));
    const RecordView& view = records_.view();
    ASSIGN_OR_RETURN(const ChangeList* changes, records_.Changes());
    *out = {.kind = candidate.kind,
            .start = records_.record().start,
            .end = records_.record().end,
            .timeline = TimelineAt(index_, candidate.start),
            .what = {},
            .stop = {.lsn = candidate.start}};
    const char* operation = OperationName(view.version(), view.rmid(), view.header().info);
    if (operation != nullptr) out->what = operation;
    if (candidate.kind == EventKind::kBeforeDrop) {
      DescribeTransaction(*changes, candidate, out);
      RETURN_IF_ERROR(DescribeDrop(candidate, out));
      return true;
    }
    if (candidate.kind == EventKind::kCommit || candidate.kind == EventKind::kAbort) {
      DescribeTransaction(*changes, candidate, out);
      return true;
    }
    for (const Change& change : *changes)
      if (DescribeChange(change, out)) return IsWanted(*out, change);
    return false;
  }

  bool IsWanted(const Event& event, const Change& change) const {
    if (options_.restore_point && event.kind == EventKind::kRestorePoint &&
        TextOf(change.payload) != options_.restore_point)
      return false;
    return (!options_.after && !options_.before) || (event.time && IsInTime(*event.time));
  }

  void DescribeTransaction(const ChangeList& changes, const Candidate& candidate, Event* out) {
    const XactFacts facts = FactsOf(changes);
    out->time = TransactionEnd(records_.view());
    out->xid = facts.xid;
    if (facts.xid != 0) out->stop.xid = facts.xid;
    if (candidate.has_exact_time) out->stop.time = out->time;
    if (facts.subtransactions > 0)
      out->what += ", " + CountText(facts.subtransactions, "subtransaction");
    if (facts.dropped > 0) out->what += ", drops " + CountText(facts.dropped, "relation");
  }

  // Recovery stops at the first point of a name.
  void DescribeName(const std::string& name, Event* out) const {
    out->what += " " + Printable(name);
    const auto first = first_of_name_.find(name);
    if (first == first_of_name_.end() || first->second == out->start)
      out->stop.name = name;
    else
      out->what += ", a name that the one at " + first->second.ToString() + " has, too";
  }

  // False: it is another change of the record.
  bool DescribeChange(const Change& change, Event* out) {
    switch (out->kind) {
      case EventKind::kRestorePoint:
        if (change.kind != ChangeKind::kRestorePoint) return false;
        out->time = change.time;
        DescribeName(TextOf(change.payload), out);
        return true;
      case EventKind::kCheckpoint:
        if (change.kind != ChangeKind::kCheckpoint) return false;
        if (const auto checkpoint = pg::ReadCheckPoint(change.payload, records_.view().version()))
          out->what += ", redo " + checkpoint->redo.ToString();
        out->time = CheckpointTime();
        return true;
      case EventKind::kTimeline:
        if (change.kind != ChangeKind::kTimeline) return false;
        out->what +=
            fmt::format(", timeline {} begins, after timeline {}", change.number, change.number2);
        out->time = change.flags & 1 ? LoadNative<int64_t>(records_.view().main_data().data())
                                     : CheckpointTime();
        out->stop.inclusive = false;
        return true;
      default:
        return true;
    }
  }

  std::optional<int64_t> CheckpointTime() const {
    const auto read = pg::ReadCheckPoint(records_.view().main_data(), records_.view().version());
    if (!read) return std::nullopt;
    return FromUnixTime(read->time);
  }

  // Where a record drops one of the relations, or their database, for good.
  Result<std::vector<Lsn>> DropsOf(const std::vector<RelFileNode>& relations) {
    std::vector<Lsn> starts, out;
    for (const RelFileNode& rel : relations)
      for (const PageKey& key : {CutKey(rel, kMainFork), DatabaseKey(rel.spc, rel.db)})
        RETURN_IF_ERROR(
            index_.ForEach(key, key, options_.from, options_.to,
                           [&](const IndexEntry& entry) { starts.push_back(entry.start); }));
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    for (const Lsn start : starts) {
      ASSIGN_OR_RETURN(const bool is_whole, EndsBy(&records_, start, options_.to));
      if (!is_whole) continue;
      ASSIGN_OR_RETURN(const ChangeList* changes, records_.Changes());
      const bool aborts = std::any_of(changes->begin(), changes->end(), [](const Change& change) {
        return change.kind == ChangeKind::kClogAborted;
      });
      const bool drops = std::any_of(changes->begin(), changes->end(), [&](const Change& change) {
        return std::any_of(relations.begin(), relations.end(),
                           [&](const RelFileNode& rel) { return Drops(change, rel); });
      });
      const auto time = TransactionEnd(records_.view());
      if (drops && !aborts && (!time || IsInTime(*time))) out.push_back(start);
    }
    return out;
  }

  static bool Drops(const Change& change, const RelFileNode& rel) {
    const RelFileNode of = RelationOf(change);
    if (change.kind == ChangeKind::kDropRelation) return of == rel;
    return change.kind == ChangeKind::kDropDatabase && of.spc == rel.spc && of.db == rel.db;
  }

  Status FindLastCommits(const std::vector<Lsn>& drops) {
    size_t at = 0;
    Candidate last{Lsn(), EventKind::kBeforeDrop};
    int64_t last_time = 0;
    std::optional<int64_t> latest;
    const auto put = [&](Lsn upto) {
      for (; at < drops.size() && drops[at] <= upto; at++) {
        found_.push_back(last);
        found_.back().cause = drops[at];
      }
    };
    RETURN_IF_ERROR(ForEachCommit(&index_, Lsn(), kEndOfAll, [&](const IndexEntry& entry) {
      if (entry.time <= last_time) last.has_exact_time = false;
      put(entry.start);
      const bool is_late = !latest || entry.time >= *latest;
      last = {entry.start, EventKind::kBeforeDrop, is_late};
      last_time = entry.time;
      if (is_late) latest = entry.time;
    }));
    put(kEndOfAll);
    return {};
  }

  // After the record of the commit was described.
  Status DescribeDrop(const Candidate& candidate, Event* out) {
    RETURN_IF_ERROR(records_.Read(candidate.cause));
    ASSIGN_OR_RETURN(const ChangeList* changes, records_.Changes());
    const RecordView& view = records_.view();
    const uint32_t ends = FactsOf(*changes).xid;
    const char* operation = OperationName(view.version(), view.rmid(), view.header().info);
    const std::string drop =
        fmt::format("{} at {} of transaction {}", operation == nullptr ? "the record" : operation,
                    candidate.cause.ToString(), ends != 0 ? ends : TransactionOf(view));
    out->cause = candidate.cause;
    if (candidate.start.valid()) {
      out->what += ", the last before the drop by " + drop;
      return {};
    }
    // Nothing in the WAL is before it.
    out->start = candidate.cause;
    out->end = records_.record().end;
    out->timeline = TimelineAt(index_, candidate.cause);
    out->what = "the drop by " + drop + "; no commit is before it in the WAL that was searched";
    out->stop = {.lsn = candidate.cause, .inclusive = false};
    return {};
  }

  WalIndex& index_;
  const FindOptions& options_;
  const EventSink& sink_;
  IndexedRecords records_;
  std::vector<Candidate> found_;
  std::unordered_map<std::string, Lsn> first_of_name_;  // restore points
  bool drops_ = false;
};

}  // namespace

Result<uint64_t> FindEvents(WalIndex* index, const FindOptions& options, const EventSink& sink) {
  return Finder(index, options, sink).Run();
}

Result<uint64_t> FindDrops(WalIndex* index, const std::vector<RelFileNode>& relations,
                           const FindOptions& options, const EventSink& sink) {
  return Finder(index, options, sink).RunDrops(relations);
}

uint32_t TimelineAt(const WalIndex& index, Lsn lsn) {
  const auto segments = index.segments();
  const uint64_t number = lsn.value / index.identity().segment_size;
  const auto at =
      std::lower_bound(segments->begin(), segments->end(), number,
                       [](const Segment& s, uint64_t wanted) { return s.number < wanted; });
  return at == segments->end() || at->number != number ? index.timeline() : at->timeline;
}

}  // namespace neon_redo

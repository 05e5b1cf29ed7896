// A list of items for each key, found by a hash table with linear probing. Only the keys are sorted, once
// all of them are there: there are far fewer than items.
#include "cpp_core/index/collector.h"

#include <algorithm>

#include "cpp_core/base/hash_key.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

namespace {

uint64_t HashOf(const PageKey& key) {
  const uint64_t a = uint64_t{key.field2} << 32 | key.field3;
  const uint64_t b = uint64_t{key.field4} << 32 | key.field6;
  return HashPair(b, a + (uint64_t{key.field1} << 8 | key.field5));
}

// Whether a record begins a page of pg_multixact/offsets depends on records before it, which are perhaps
// not part of the stretch.
bool DependsOnEarlierRecords(const PageKey& key) {
  return key.field1 == PageKey::kSlru &&
         key.field2 == static_cast<uint32_t>(SlruKind::kMultixactOffsets);
}

constexpr SizeBounds AtLeast(uint64_t blocks) { return {blocks + 1, UINT32_MAX}; }
constexpr SizeBounds AtMost(uint64_t blocks) { return {0, blocks + 1}; }
constexpr SizeBounds Exactly(uint64_t size) { return {size, size}; }

}  // namespace

Collector::Collector(Lsn begin) : begin_(begin), places_(size_t{1} << 12) {}

void Collector::Grow() {
  places_.assign(places_.size() * 2, 0);
  const size_t mask = places_.size() - 1;
  for (uint32_t i = 0; i < lists_.size(); i++) {
    size_t at = HashOf(lists_[i].key) & mask;
    while (places_[at] != 0) at = (at + 1) & mask;
    places_[at] = i + 1;
  }
}

Collector::List* Collector::ListOf(const PageKey& key) {
  const uint64_t hash = HashOf(key);
  const size_t mask = places_.size() - 1;
  const auto high = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & mask;
  for (; places_[at] != 0; at = (at + 1) & mask) {
    List& list = lists_[places_[at] - 1];
    if (list.high_hash == high && list.key == key) return &list;
  }
  if (lists_.size() * 2 >= places_.size()) {
    Grow();
    return ListOf(key);
  }
  lists_.push_back({key, 0, 0, high});
  places_[at] = static_cast<uint32_t>(lists_.size());
  return &lists_.back();
}

void Collector::Add(List* list, uint32_t extra) {
  items_.push_back({place_, 0, extra});
  const auto number = static_cast<uint32_t>(items_.size());
  if (list->first == 0)
    list->first = number;
  else
    items_[list->last - 1].next = number;
  list->last = number;
}

// A record that changes a page twice has one entry.
void Collector::AddRecord(const PageKey& key, bool makes_whole) {
  List* list = ListOf(key);
  if (list->last != 0 && items_[list->last - 1].place == place_)
    items_[list->last - 1].extra |= uint32_t{makes_whole};
  else
    Add(list, uint32_t{makes_whole});
}

void Collector::AddSize(const PageKey& key, const SizeBounds& change) {
  List* list = ListOf(key);
  if (list->last == 0) {
    sizes_.push_back(change);
    return Add(list, static_cast<uint32_t>(sizes_.size() - 1));
  }
  Item& last = items_[list->last - 1];
  const SizeBounds now = sizes_[last.extra].Then(change);
  if (now == sizes_[last.extra]) return;
  sizes_.push_back(now);
  if (last.place == place_)
    last.extra = static_cast<uint32_t>(sizes_.size() - 1);
  else
    Add(list, static_cast<uint32_t>(sizes_.size() - 1));
}

void Collector::TakeSize(const Change& change) {
  using enum ChangeKind;
  const PageKey& key = change.key;
  const RelFileNode rel{key.field2, key.field3, key.field4};
  switch (change.kind) {
    case kRecord:
    case kImage:
    case kClearVisibility:
      if (key.field6 == PageKey::kSizeBlock) return;
      return AddSize(PageKey::OfRelationSize(rel, key.field5), AtLeast(uint64_t{key.field6} + 1));
    case kCreateFork:
      return AddSize(PageKey::OfRelationSize(rel, key.field5),
                     change.flags & kNewRelationFile ? Exactly(1) : AtLeast(0));
    case kTruncateFork:
      return AddSize(PageKey::OfRelationSize(rel, key.field5), AtMost(change.number));
    case kDropRelation:
      for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++)
        AddSize(PageKey::OfRelationSize(rel, fork), Exactly(0));
      return;
    default:
      return;
  }
}

void Collector::Take(const ChangeList& changes, const RecordView& view, const WalRecord& record) {
  place_ = static_cast<uint32_t>((record.start - begin_) / 8);
  for (const Change& change : changes) {
    ForEachKey(change, [this](const PageKey& key, bool whole) {
      // No fork has a block of this number, which stands for its size in a key.
      if (EntryKindOf(key) != EntryKind::kRecord) return;
      AddRecord(key, whole && !DependsOnEarlierRecords(key));
    });
    if (change.key.field1 == PageKey::kRelation) TakeSize(change);
    if (change.kind == ChangeKind::kClogCommitted && change.number != 0) {
      commits_.push_back({change.number, change.time});
      Add(ListOf(kCommitsKey), static_cast<uint32_t>(commits_.size() - 1));
    }
  }
  if (view.rmid() == kRmMultiXact && (view.info() == layout::multixact::kZeroOffsetsPage ||
                                      view.info() == layout::multixact::kCreateId)) {
    const bool begins = std::any_of(changes.begin(), changes.end(), [](const Change& c) {
      return c.kind == ChangeKind::kMultixactOffset && c.number % kOffsetsPerPage == 0;
    });
    if (begins || view.info() == layout::multixact::kZeroOffsetsPage)
      AddRecord(kOffsetsPagesKey, false);
  }
}

Status Collector::ForEach(const Sink& sink) const {
  std::vector<uint32_t> order(lists_.size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(),
            [this](uint32_t a, uint32_t b) { return lists_[a].key < lists_[b].key; });
  std::vector<IndexEntry> entries;
  for (const uint32_t number : order) {
    const List& list = lists_[number];
    const EntryKind kind = EntryKindOf(list.key);
    entries.clear();
    for (uint32_t i = list.first; i != 0; i = items_[i - 1].next) {
      const Item& item = items_[i - 1];
      IndexEntry entry{.start = begin_ + uint64_t{item.place} * 8};
      if (kind == EntryKind::kSize)
        entry.size = sizes_[item.extra];
      else if (kind == EntryKind::kCommit)
        entry.xid = commits_[item.extra].xid, entry.time = commits_[item.extra].time;
      else
        entry.makes_whole = item.extra != 0;
      entries.push_back(entry);
    }
    RETURN_IF_ERROR(sink(list.key, entries));
  }
  return {};
}

}  // namespace neon_redo

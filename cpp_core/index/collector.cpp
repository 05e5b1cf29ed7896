// Items of all keys in the order of WAL; a key is found by a hash table with linear probing. Only the keys are
// sorted, once all of them are there: there are far fewer than items. Items are then put into the order of their keys
// by counting, which waits for memory less than following them from one to the next.
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

constexpr size_t kFirstPlaces = 1 << 12;

constexpr SizeBounds AtLeast(uint64_t blocks) { return {blocks + 1, UINT32_MAX}; }
constexpr SizeBounds AtMost(uint64_t blocks) { return {0, blocks + 1}; }
constexpr SizeBounds Exactly(uint64_t size) { return {size, size}; }

}  // namespace

Collector::Collector(Lsn begin) : begin_(begin), places_(kFirstPlaces) {}

size_t Collector::memory() const {
  return places_.size() * sizeof(uint32_t) + lists_.size() * (sizeof(List) + 2 * sizeof(uint32_t)) +
         items_.size() * (sizeof(Item) + sizeof(uint32_t)) + sizes_.size() * sizeof(SizeBounds) +
         commits_.size() * sizeof(Commit);
}

void Collector::Clear() {
  places_.assign(kFirstPlaces, 0);
  lists_.clear();
  items_.clear();
  sizes_.clear();
  commits_.clear();
}

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
  lists_.push_back({key, 0, 0, 0, high});
  places_[at] = static_cast<uint32_t>(lists_.size());
  return &lists_.back();
}

void Collector::Add(List* list, uint32_t extra) {
  list->count++;
  list->last = static_cast<uint32_t>(items_.size());
  list->place = place_;
  items_.push_back({place_, static_cast<uint32_t>(list - lists_.data()), extra});
}

// A record that changes a page twice has one entry.
void Collector::AddRecord(const PageKey& key, bool makes_whole) {
  List* list = ListOf(key);
  if (list->count == 0 || list->place != place_)
    Add(list, uint32_t{makes_whole});
  else if (makes_whole)
    items_[list->last].extra = 1;
}

void Collector::AddSize(const PageKey& key, const SizeBounds& change) {
  List* list = ListOf(key);
  const auto number = static_cast<uint32_t>(sizes_.size());
  if (list->count == 0) {
    sizes_.push_back(change);
    return Add(list, number);
  }
  Item& last = items_[list->last];
  const bool begins =
      HasDatabaseEvent(key, begin_ + uint64_t{list->place} * 8, begin_ + uint64_t{place_} * 8);
  const SizeBounds now = (begins ? SizeBounds() : sizes_[last.extra]).Then(change);
  if (!begins && now == sizes_[last.extra]) return;
  sizes_.push_back(now);
  if (list->place == place_)
    last.extra = number;
  else
    Add(list, number);
}

bool Collector::HasDatabaseEvent(const PageKey& key, Lsn from, Lsn to) const {
  if (databases_.empty()) return false;
  const auto found = databases_.find({key.field2, key.field3});
  if (found == databases_.end()) return false;
  const auto& places = found->second;
  const auto at = std::upper_bound(places.begin(), places.end(), (from - begin_) / 8);
  return at != places.end() && *at < (to - begin_) / 8;
}

void Collector::TakeDatabase(const PageKey& key) {
  std::vector<uint32_t>& places = databases_[{key.field2, key.field3}];
  if (places.empty() || places.back() != place_) places.push_back(place_);
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
    case kCreateDatabase:
    case kCopyDatabase:
    case kDropDatabase:
      return TakeDatabase(key);
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

// Numbers of lists in the order of keys; and in *items those of the items, those of a list together.
std::vector<uint32_t> Collector::Sort(std::vector<uint32_t>* items) const {
  std::vector<uint32_t> order(lists_.size()), next(lists_.size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(),
            [this](uint32_t a, uint32_t b) { return lists_[a].key < lists_[b].key; });
  uint32_t place = 0;
  for (const uint32_t list : order) {
    next[list] = place;
    place += lists_[list].count;
  }
  items->resize(items_.size());
  for (uint32_t i = 0; i < items_.size(); i++) (*items)[next[items_[i].list]++] = i;
  return order;
}

Status Collector::ForEach(const Sink& sink) const {
  std::vector<uint32_t> items;
  const std::vector<uint32_t> order = Sort(&items);
  std::vector<IndexEntry> entries;
  const uint32_t* next = items.data();
  for (const uint32_t number : order) {
    const List& list = lists_[number];
    const EntryKind kind = EntryKindOf(list.key);
    entries.clear();
    entries.resize(list.count);
    for (IndexEntry& entry : entries) {
      const Item& item = items_[*next++];
      entry.start = begin_ + uint64_t{item.place} * 8;
      if (kind == EntryKind::kSize)
        entry.size = sizes_[item.extra];
      else if (kind == EntryKind::kCommit)
        entry.xid = commits_[item.extra].xid, entry.time = commits_[item.extra].time;
      else
        entry.makes_whole = item.extra != 0;
    }
    RETURN_IF_ERROR(sink(list.key, entries));
  }
  return {};
}

}  // namespace neon_redo

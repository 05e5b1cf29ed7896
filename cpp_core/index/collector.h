// The entries of a stretch of WAL, gathered by key.
#ifndef NEON_REDO_INDEX_COLLECTOR_H_
#define NEON_REDO_INDEX_COLLECTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "cpp_core/index/entry.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// Takes changes in the order of WAL, of at most 2^34 bytes of it. Not thread-safe.
class Collector {
 public:
  // begin: where the stretch begins.
  explicit Collector(Lsn begin);

  void Take(const ChangeList& changes, const RecordView& view, const WalRecord& record);

  // Bytes of what it has now, with what ForEach needs besides. There may be room for twice as much.
  size_t memory() const;
  // Forgets all entries: the stretch begins again at the next record.
  void Clear();
  // A record that starts after `from` and before `to` made, copied or dropped the database of a size's key: what
  // was before says nothing of the size. Of all records so far, also of those before Clear.
  bool HasDatabaseEvent(const PageKey& key, Lsn from, Lsn to) const;

  // Calls take(key, entries) for each key in ascending order, until it fails. entries is valid during
  // the call.
  using Sink = std::function<Status(const PageKey&, const std::vector<IndexEntry>&)>;
  Status ForEach(const Sink& sink) const;

 private:
  struct Item {
    uint32_t place;  // of the record, in units of 8 bytes after `begin`
    uint32_t list;   // number in lists_
    uint32_t extra;  // number in sizes_ or commits_, or 1 if it makes the page whole
  };
  struct Commit {
    uint32_t xid;
    int64_t time;
  };
  struct List {
    PageKey key;
    uint32_t count;  // of items
    uint32_t last;   // number of the last one
    uint32_t place;  // of that
    uint32_t high_hash;
  };

  List* ListOf(const PageKey& key);
  void Grow();
  std::vector<uint32_t> Sort(std::vector<uint32_t>* items) const;
  void Add(List* list, uint32_t extra);
  void AddRecord(const PageKey& key, bool makes_whole);
  void AddSize(const PageKey& key, const SizeBounds& change);
  void TakeSize(const Change& change);
  void TakeDatabase(const PageKey& key);

  const Lsn begin_;
  uint32_t place_ = 0;            // of the record that is taken
  std::vector<uint32_t> places_;  // a hash table: numbers in lists_ plus one
  std::vector<List> lists_;
  std::vector<Item> items_;
  std::vector<SizeBounds> sizes_;
  std::vector<Commit> commits_;
  // Records that made, copied or dropped a database, by tablespace and database: their places, ascending.
  std::map<std::pair<uint32_t, uint32_t>, std::vector<uint32_t>> databases_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_COLLECTOR_H_

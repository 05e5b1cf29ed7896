// Private to cpp_core/ingest: one record on its way to changes. A member for each resource manager
// whose records do more than change the blocks they name. Each ingest_*.cpp has one subject.
#ifndef NEON_REDO_INGEST_TAKER_H_
#define NEON_REDO_INGEST_TAKER_H_

#include <cstddef>

#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/slru.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// What needs nothing but the record: relation files and visibility maps.
class RelationTaker {
 public:
  RelationTaker(const RecordView& record, ChangeList* changes)
      : record_(record), changes_(*changes) {}

  // False: the record's main data is not what it must be; fault() says why.
  bool TakeRelations();
  RecordFault fault() const {
    return {what_, static_cast<uint32_t>(record_.bytes().size() - record_.main_data().size())};
  }

 protected:
  // ingest_relation.cpp: Storage and what the heap does to the visibility map.
  bool TakeSmgr();
  bool TakeHeap();
  bool TakeHeap2();
  bool ClearVisibility(size_t flags_at, uint8_t flag, uint8_t bits);
  bool TakeHeapUpdate();
  bool NamesMap(int id) const;  // whether this block of the record is of a visibility map
  void PushClear(const BlockTag& heap, uint32_t new_block, uint32_t old_block, uint8_t bits);

  // ingest_cluster.cpp
  bool TakeDatabase();

  // ingest_xact.cpp
  bool TakeDroppedRelations();
  void PushDrops(Bytes relations);

  Change& Push(ChangeKind kind, const PageKey& key) {
    Change& change = changes_.emplace_back();
    change.kind = kind;
    change.key = key;
    return change;
  }

  // The front of the main data as a struct of the server's layout. Padding at its end need not be
  // there: min is the size without it.
  template <typename T>
  bool Read(T* out, size_t min = sizeof(T)) {
    const Bytes data = record_.main_data();
    if (data.size() < min) return TooShort();
    std::memcpy(static_cast<void*>(out), data.data(), data.size() < sizeof(T) ? min : sizeof(T));
    return true;
  }
  // The number of a page of an SLRU at the front of the main data. rest: how many bytes the record
  // has after it at least.
  bool ReadSlruPage(uint32_t* page, size_t rest = 0);
  bool TooShort() { return Wrong("its data is too short"); }
  bool Wrong(const char* what) {
    what_ = what;
    return false;
  }

  const RecordView& record_;
  ChangeList& changes_;

 private:
  const char* what_ = nullptr;
};

class Ingest::Taker : public RelationTaker {
 public:
  Taker(Ingest* ingest, const RecordView& record, ChangeList* changes)
      : RelationTaker(record, changes), ingest_(*ingest), state_(ingest->state_) {}

  // ingest.cpp. The blocks that the record names, and the rest of what it changes. The rest can
  // fail as TakeRelations can.
  void TakeBlocks();
  bool TakeBeyondBlocks();

 private:
  bool ChangesRestoredPage(int id) const;

  // ingest_cluster.cpp: XLOG, RelMap, Tablespace.
  bool TakeXlog();
  bool TakeCheckpoint(bool shutdown);
  bool TakeParameters();
  bool TakeRelMap();
  bool TakeTablespace();

  // ingest_xact.cpp: Transaction, CLOG, CommitTs.
  bool TakeXact();
  bool TakeXactEnd(bool commit);
  void PushXids(SlruKind slru, ChangeKind kind, uint32_t xid, Bytes subxacts, int64_t time);
  bool TakeClog();
  bool TakeCommitTs();

  // ingest_multixact.cpp
  bool TakeMultiXact();
  bool CreateMultiXact();
  bool TruncateMultiXact();

  bool PushZeroPage(SlruKind kind);  // main data: the page's number
  void PushTruncateSlru(SlruKind kind, uint32_t page);

  Ingest& ingest_;
  ClusterState& state_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INGEST_TAKER_H_

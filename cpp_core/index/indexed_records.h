// The records that an index speaks of.
#ifndef NEON_REDO_INDEX_INDEXED_RECORDS_H_
#define NEON_REDO_INDEX_INDEXED_RECORDS_H_

#include <cstddef>

#include "cpp_core/index/record_source.h"
#include "cpp_core/index/wal_index.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Reads any record of an index's WAL. Not thread-safe.
class IndexedRecords {
 public:
  // index: must outlive it. threads: how many have such an object; they share the files that may be open.
  explicit IndexedRecords(const WalIndex& index, size_t threads = 1)
      : index_(index),
        source_(index.segments(), index.identity(), threads),
        ingest_({.track_commit_timestamp = true}),
        view_(*index.identity().version) {}

  // Until the next call, record() and view() are those of the record that starts there. kCorrupt: WAL has no such
  // record, though the index says so.
  Status Read(Lsn start);
  const WalRecord& record() const { return record_; }
  const RecordView& view() const { return view_; }
  // What the record does, as far as that follows from it alone. Valid as record().
  Result<const ChangeList*> Changes() { return Changes(&ingest_); }
  // The same, by a state that earlier records have made.
  Result<const ChangeList*> Changes(Ingest* ingest);

 private:
  tl::unexpected<Error> Bad(Lsn start, const char* what) const;

  const WalIndex& index_;
  RecordSource source_;
  Ingest ingest_;
  RecordView view_;
  WalRecord record_;
  ChangeList changes_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_INDEXED_RECORDS_H_

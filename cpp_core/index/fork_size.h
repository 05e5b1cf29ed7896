// How many blocks a fork had at an LSN: what its base backup has, and what WAL has made of that since.
#ifndef NEON_REDO_INDEX_FORK_SIZE_H_
#define NEON_REDO_INDEX_FORK_SIZE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cpp_core/index/record_source.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/store/change_source.h"
#include "cpp_core/store/copy_chain.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// The blocks of a fork in the base backup; nothing: it has no such file.
using BaseForkSize =
    std::function<Result<std::optional<uint32_t>>(const RelFileNode& rel, uint8_t fork)>;

struct ForkSize {
  std::optional<uint32_t> blocks;  // nothing: the fork was not there
  std::string absence{};           // why, then
};

// Blocks that the server added without a record after the last one that WAL names are not known of.
// Not thread-safe.
class ForkSizes {
 public:
  // base may be empty: then what WAL alone does not say is an error. from: where the base's replay begins.
  ForkSizes(WalIndex* index, ChangeSource* changes, BaseForkSize base, Lsn from)
      : index_(*index),
        changes_(*changes),
        base_(std::move(base)),
        from_(from),
        records_(index->segments(), index->identity()) {}

  // After the last record that ends at or before lsn. kNotFound: WAL alone does not say it.
  Result<ForkSize> Read(const RelFileNode& rel, uint8_t fork, Lsn lsn);

 private:
  // A database that was made or dropped, with its relations.
  struct Event {
    Lsn lsn;
    ChangeKind kind;
    uint32_t source_tablespace, source_database;
  };
  Result<std::optional<Event>> LastEvent(const RelFileNode& rel, Lsn lsn);
  Result<std::optional<uint64_t>> SizeBefore(const RelFileNode& rel, uint8_t fork,
                                             const std::optional<Event>& event);
  Result<Lsn> EndOfEntries(const PageKey& key, Lsn lsn);
  // end: where the entries begin that do not count.
  Result<std::string> Absence(const RelFileNode& rel, uint8_t fork, Lsn lsn, Lsn end,
                              const std::optional<Event>& event);

  WalIndex& index_;
  ChangeSource& changes_;
  const BaseForkSize base_;
  const Lsn from_;
  RecordSource records_;
  CopyChain copies_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_FORK_SIZE_H_

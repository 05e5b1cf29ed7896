// The pages of system catalogs at an LSN, rebuilt from a base backup and the WAL that an index is of.
#ifndef NEON_REDO_INDEX_CATALOG_PAGES_H_
#define NEON_REDO_INDEX_CATALOG_PAGES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cpp_core/catalog/snapshot.h"
#include "cpp_core/index/fork_size.h"
#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/store/copy_chain.h"
#include "cpp_core/store/page_reader.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// What a base backup has. All are empty where there is none: then only what WAL makes whole can be had.
struct BaseContent {
  BasePage page{};
  BaseForkSize blocks{};
  // The relation map of a database; empty: there is none.
  std::function<Result<std::string>(uint32_t tablespace, uint32_t database)> map{};
};

class IndexedPages : public CatalogPages {
 public:
  // The index must outlive the object. from: where the base backup's replay begins. worker: as of PageReader.
  IndexedPages(WalIndex* index, Lsn from, BaseContent base, const WorkerOptions& worker);

  // Pages are those after the records that end at or before this LSN.
  void set_lsn(Lsn lsn) { lsn_ = lsn; }
  Lsn lsn() const { return lsn_; }
  Lsn from() const { return from_; }
  // Pages at any LSN.
  PageReader& reader() { return reader_; }
  const pg::Version& version() const { return *index_.identity().version; }

  // A block of a relation that the server has added without a record is of zeroes.
  Status Read(const PageKey& key, uint8_t* page) override;
  Result<uint32_t> Blocks(const RelFileNode& rel) override;
  Result<std::string> Map(uint32_t tablespace, uint32_t database) override;

 private:
  // The last record that made, copied or dropped a database.
  struct Creation {
    Lsn end;
    std::optional<std::pair<uint32_t, uint32_t>> source;  // tablespace and database it is a copy of
  };
  Result<std::optional<Creation>> LastCreation(uint32_t tablespace, uint32_t database, Lsn lsn);
  Result<std::string> MapAt(uint32_t tablespace, uint32_t database, Lsn lsn);

  WalIndex& index_;
  const Lsn from_;
  const BaseContent base_;
  IndexedChanges changes_;
  PageReader reader_;
  ForkSizes sizes_;
  CopyChain copies_;
  Lsn lsn_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_CATALOG_PAGES_H_

// Relations by the names that the catalogs have for them: what commands that take --database and --table share.
//
//   AddTable(options, &arguments.table);
//   …
//   CatalogsOfWal catalogs(inputs, index.get(), worker);
//   ASSIGN_OR_RETURN(const auto names, catalogs.At(lsn));
//   ASSIGN_OR_RETURN(const RelationName table, FindTable(arguments.table, names.get()));
//   … table.file …
#ifndef NEON_REDO_CLI_TABLE_NAME_H_
#define NEON_REDO_CLI_TABLE_NAME_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/page_inputs.h"
#include "cpp_core/catalog/snapshot.h"
#include "cpp_core/index/catalog_pages.h"
#include "cpp_core/index/wal_index.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/worker.h"

namespace neon_redo::cli {

struct TableArguments {
  std::string database, table;

  bool given() const { return !table.empty(); }
};

// --database and --table
void AddTable(Options* options, TableArguments* arguments);

// The catalogs at any LSN, of a base backup in any layout and the WAL of an index. Not thread-safe.
class CatalogsOfWal {
 public:
  // inputs and index must outlive it. worker: as of PageReader.
  CatalogsOfWal(const PageInputs& inputs, WalIndex* index, const WorkerOptions& worker);

  // Names after the records that end at or before this LSN. Valid until the next call. kNotFound: the base backup
  // is not consistent there yet.
  Result<std::unique_ptr<CatalogSnapshot>> At(Lsn lsn);
  // The first LSN at which there are names: where the backup is consistent. kNotFound: the WAL ends before.
  Result<Lsn> First();
  IndexedPages& pages() { return pages_; }
  // An error, and what helps against it.
  Error Explain(Error error) const;

 private:
  const PageInputs& inputs_;
  WalIndex& index_;
  IndexedPages pages_;
  std::optional<Lsn> first_;
};

// kNotFound: there is no such database or relation at that moment, or a page of the catalogs cannot be had.
// kInvalidArgument: the name stands for several, or for something without a file.
Result<RelationName> FindTable(const TableArguments& arguments, CatalogSnapshot* names);
// The same with its indexes, its TOAST table and the index of that.
Result<std::vector<RelationName>> FindTableWithParts(const TableArguments& arguments,
                                                     CatalogSnapshot* names);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_TABLE_NAME_H_

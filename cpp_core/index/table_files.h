// The files that a table had, also of one that is dropped by now.
#ifndef NEON_REDO_INDEX_TABLE_FILES_H_
#define NEON_REDO_INDEX_TABLE_FILES_H_

#include <string>
#include <vector>

#include "cpp_core/catalog/snapshot.h"
#include "cpp_core/index/catalog_pages.h"
#include "cpp_core/index/wal_index.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// Of relations of this name ("table", "schema.table"), those files that a row of pg_class had before a
// record from `from` to `to` changed or removed the row. pages: any LSN; it is changed. `from` is where pages
// can be had.
Result<std::vector<RelFileNode>> FindFormerFiles(WalIndex* index, IndexedPages* pages,
                                                 const DatabaseName& database,
                                                 const std::string& name, Lsn from, Lsn to);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_TABLE_FILES_H_

// Several files of an index made into one.
#ifndef NEON_REDO_INDEX_MERGE_H_
#define NEON_REDO_INDEX_MERGE_H_

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cpp_core/base/directory.h"
#include "cpp_core/index/cover.h"
#include "cpp_core/index/file.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Calls the sink with each part of the views, in ascending order of keys, those of one key in the order of the
// views, until it fails. Views are in order of LSN. kCorrupt: one of the files is damaged, and says so.
using MergeSink =
    std::function<Status(size_t view, const PageKey& key, std::span<const IndexEntry> part)>;
Status MergeParts(std::span<const IndexView> views, const MergeSink& sink);

// Writes what the views answer for, which are neighbours in order of LSN, into one file of that name. Their
// WAL is not read. Memory: a block of each, and some two bytes for each page that is named. Thread-safe. Errors as
// MergeParts and MakeIndexFile.
Result<std::unique_ptr<IndexFile>> MergeIndexFiles(std::span<const IndexView> views,
                                                   const Directory& directory,
                                                   const std::string& name,
                                                   const std::shared_ptr<rocksdb::Cache>& cache);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_MERGE_H_

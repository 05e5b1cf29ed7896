// Pages of free space maps. WAL has few of them: images, where hints are logged, and truncations, which cut the
// map with its relation. A map that promises space after the end of its relation breaks the server.
#ifndef NEON_REDO_RESTORE_FREE_SPACE_H_
#define NEON_REDO_RESTORE_FREE_SPACE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cpp_core/base/memory_budget.h"
#include "cpp_core/replay/page_pool.h"
#include "cpp_core/restore/page_writer.h"
#include "cpp_core/verify/relation_files.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/record.h"

namespace neon_redo {

// Not thread-safe.
class FreeSpaceMaps {
 public:
  // What options point to and memory must outlive the object.
  FreeSpaceMaps(const PageWriterOptions& options, MemoryBudget* memory,
                const std::string& spill_directory)
      : options_(options),
        base_(std::make_unique<RelationFiles>(options.base, options.version)),
        pool_(memory, spill_directory) {}

  // Takes a record. changes: of it, beyond its blocks.
  Status Take(const RecordView& view, Lsn end, const ChangeList& changes);

  // Writes all pages, and forgets them. FileChanges::Apply comes before.
  Status Write();

 private:
  Status TakeImage(const BlockRef& ref, Lsn end);
  Status Cut(const RelFileNode& rel, uint32_t heap_blocks, uint32_t map_blocks);
  void Forget(const BlockTag& first, const BlockTag& last);
  // Null: there is no such page, or it is one that was never used.
  Result<uint8_t*> Get(const BlockTag& tag);

  const PageWriterOptions options_;
  std::unique_ptr<RelationFiles> base_;
  PagePool pool_;
  std::map<BlockTag, PageRef> pages_;
  std::map<RelFileNode, uint32_t> ends_;  // of base files: blocks from here on are gone
};

namespace free_space {

// Sets the entry of a slot and, of all after it, to nothing, and the tree above them. page: kBlockSize bytes.
void SetLast(uint8_t* page, uint32_t slot, uint8_t value);
// The largest entry.
uint8_t Most(const uint8_t* page);

}  // namespace free_space

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_FREE_SPACE_H_

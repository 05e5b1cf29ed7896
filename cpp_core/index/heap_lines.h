// What records do to single line pointers of heap pages.
#ifndef NEON_REDO_INDEX_HEAP_LINES_H_
#define NEON_REDO_INDEX_HEAP_LINES_H_

#include <cstdint>
#include <optional>

#include "cpp_core/index/find.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/store/page_reader.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/record.h"

namespace neon_redo {

struct HeapLine {
  BlockTag tag;
  uint32_t line;  // from 1 on
};

// The line pointer whose tuple a DELETE, UPDATE or HOT_UPDATE replaces or removes. Nothing: another record.
std::optional<HeapLine> RemovedLine(const RecordView& record);

// The records that delete, update, prune or vacuum what the line pointer has, or remove the page, from
// options.from to options.to, of options.xid if that is given, and with times of transactions that committed
// then; the last options.limit of them. Recovery
// that stops at an event has the tuple as it was before. reader: of the pages before; where a page cannot be
// had, prunings up to its next image stay unknown.
struct Removals {
  uint64_t found = 0;
  uint64_t unknown = 0;  // records that may be one: the page before them could not be had
};
Result<Removals> FindRemovals(WalIndex* index, PageReader* reader, const HeapLine& line,
                              const FindOptions& options, const EventSink& sink);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_HEAP_LINES_H_

// Page-server records: Neon's own record kinds, for changes of pages that PostgreSQL's records do
// not name as blocks (visibility map, pg_xact, pg_multixact). Ingest makes one for each page and
// record. Applying one needs no PostgreSQL process; it changes the page exactly as the redo routine
// of the original record would. Values; all functions are thread-safe.
#ifndef NEON_REDO_PAGE_SERVER_RECORD_H_
#define NEON_REDO_PAGE_SERVER_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// Clears bits of one or two heap blocks in a page of the visibility map (visibilitymap_clear).
struct ClearVisibilityMapFlags {
  std::optional<uint32_t> new_heap_block;
  std::optional<uint32_t> old_heap_block;
  uint8_t flags = 0;  // VISIBILITYMAP_ALL_VISIBLE and _ALL_FROZEN: the bits to clear
};

// Clears the bits after the end of a truncated heap in the map's last page
// (visibilitymap_prepare_truncate).
struct TruncateVisibilityMap {
  uint32_t byte = 0;  // the first byte, counted from the end of the page header, that may change
  uint8_t bit = 0;    // bits of that byte that stay: 0, 2, 4 or 6
};

// A transaction and its subtransactions on one page of pg_xact.
struct ClogSetCommitted {
  std::vector<uint32_t> xids;
  int64_t timestamp = 0;  // of the commit, TimestampTz
};
struct ClogSetAborted {
  std::vector<uint32_t> xids;
};

// RecordNewMultiXact, the offsets' half and the members' half.
struct MultixactOffsetCreate {
  uint32_t multixact = 0;
  uint32_t offset = 0;
};
struct MultixactMember {
  uint32_t xid = 0;
  uint32_t status = 0;  // MultiXactStatus
};
struct MultixactMembersCreate {
  uint32_t offset = 0;  // of the first member
  std::vector<MultixactMember> members;
};

using PageServerRecord =
    std::variant<ClearVisibilityMapFlags, TruncateVisibilityMap, ClogSetCommitted, ClogSetAborted,
                 MultixactOffsetCreate, MultixactMembersCreate>;

// A page of pg_xact is followed by the timestamp of the last commit on it, 8 bytes big-endian.
inline constexpr size_t kClogTimestampSize = 8;

// "ClogSetCommitted", ….
const char* PageServerRecordName(const PageServerRecord& record);

// Its name and values, for messages and `neon-redo replay`.
std::string DescribePageServerRecord(const PageServerRecord& record);

// Applies a record to *page, the current image of the page that key names: kBlockSize bytes, and
// kClogTimestampSize more on a page of pg_xact that has a timestamp. ClogSetCommitted adds or
// replaces the timestamp. A page of the visibility map gets the LSN, unless it is new.
//
// kInvalidArgument, with the page as it was: a key of the wrong kind, a block that the record does
// not belong to, a value that no such record has, a page of the wrong size.
Status ApplyPageServerRecord(const PageServerRecord& record, Lsn lsn, const PageKey& key,
                             std::vector<uint8_t>* page);

}  // namespace neon_redo

#endif  // NEON_REDO_PAGE_SERVER_RECORD_H_

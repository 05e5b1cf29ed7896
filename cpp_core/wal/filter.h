// Which records of WAL to look at, by the rules of pg_waldump's options.
#ifndef NEON_REDO_WAL_FILTER_H_
#define NEON_REDO_WAL_FILTER_H_

#include <bitset>
#include <cstdint>
#include <optional>

#include "neon_redo/block.h"
#include "neon_redo/record.h"

namespace neon_redo {

// A value. A record must match everything that is set. Thread-safe once it is filled.
struct WalFilter {
  std::bitset<256> rmgrs;               // resource managers by number; none set: all
  std::optional<uint32_t> xid;          // xl_xid
  std::optional<RelFileNode> relation;  // these three: one block of the record matches all of them
  std::optional<uint8_t> fork;
  std::optional<uint32_t> block;
  bool full_page = false;  // at least one block has a full-page image

  // What the header alone decides: worth calling before the record is parsed.
  bool Matches(const RecordHeader& header) const {
    return (rmgrs.none() || rmgrs[header.rmid]) && (!xid || *xid == header.xid);
  }
  // What the header does not decide (XLogRecordMatchesRelationBlock, XLogRecordHasFPW).
  bool MatchesBlocks(const RecordView& record) const;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_FILTER_H_

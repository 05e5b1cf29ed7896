// Which page of an SLRU has what, and which segments a truncation takes (access/transam/slru.c,
// clog.c, multixact.c, commit_ts.c; 8 KiB blocks).
#ifndef NEON_REDO_PG_SLRU_H_
#define NEON_REDO_PG_SLRU_H_

#include <cstdint>

#include "neon_redo/page_key.h"

namespace neon_redo {

inline constexpr uint32_t kXactsPerClogPage = kBlockSize * 4;     // CLOG_XACTS_PER_PAGE
inline constexpr uint32_t kOffsetsPerPage = kBlockSize / 4;       // MULTIXACT_OFFSETS_PER_PAGE
inline constexpr uint32_t kMembersPerPage = kBlockSize / 20 * 4;  // MULTIXACT_MEMBERS_PER_PAGE
inline constexpr uint32_t kCommitTsEntrySize = 10;                // SizeOfCommitTimestampEntry
inline constexpr uint32_t kXactsPerCommitTsPage = kBlockSize / kCommitTsEntrySize;
inline constexpr uint32_t kFirstNormalXid = 3;  // FirstNormalTransactionId
inline constexpr uint32_t kFirstMultixact = 1;  // FirstMultiXactId

// Entries (transactions, multixacts, members) on one page.
constexpr uint32_t SlruEntriesPerPage(SlruKind kind) {
  switch (kind) {
    case SlruKind::kClog:
      return kXactsPerClogPage;
    case SlruKind::kMultixactMembers:
      return kMembersPerPage;
    case SlruKind::kMultixactOffsets:
      return kOffsetsPerPage;
    case SlruKind::kCommitTs:
      return kXactsPerCommitTsPage;
  }
  return 1;
}

// The segment and block of a page, numbered from 0.
constexpr SlruBlock SlruBlockOfPage(SlruKind kind, uint32_t page) {
  return {kind, page / kSlruPagesPerSegment, page % kSlruPagesPerSegment};
}

// The key of the page that has this entry.
inline PageKey SlruKeyOfEntry(SlruKind kind, uint32_t entry) {
  return PageKey::OfSlruBlock(SlruBlockOfPage(kind, entry / SlruEntriesPerPage(kind)));
}

// The segment with the last entry there can be; the next is segment 0 (multixact.c).
constexpr uint32_t LastSlruSegment(SlruKind kind) {
  return 0xffffffffu / SlruEntriesPerPage(kind) / kSlruPagesPerSegment;
}

// Truncation before cutoff_page removes the segment: both its ends precede the page, in a circle
// (SlruMayDeleteSegment and the PagePrecedes functions).
bool SlruSegmentIsGone(SlruKind kind, uint32_t segment, uint32_t cutoff_page);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_SLRU_H_

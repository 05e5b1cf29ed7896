#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

constexpr bool Precedes(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

// The number a page is compared by: of its first entry, and where there are entries that mean
// nothing (FirstNormalTransactionId, FirstMultiXactId) of the one after those.
uint32_t ComparedEntry(SlruKind kind, uint32_t page) {
  const uint32_t first = page * SlruEntriesPerPage(kind);
  switch (kind) {
    case SlruKind::kClog:
    case SlruKind::kCommitTs:
      return first + kFirstNormalXid + 1;
    case SlruKind::kMultixactOffsets:
      return first + kFirstMultixact + 1;
    case SlruKind::kMultixactMembers:
      break;
  }
  return first;
}

bool PagePrecedes(SlruKind kind, uint32_t page, uint32_t cutoff) {
  const uint32_t a = ComparedEntry(kind, page);
  const uint32_t b = ComparedEntry(kind, cutoff);
  return Precedes(a, b) && Precedes(a, b + SlruEntriesPerPage(kind) - 1);
}

}  // namespace

bool SlruSegmentIsGone(SlruKind kind, uint32_t segment, uint32_t cutoff_page) {
  const uint32_t first = segment * kSlruPagesPerSegment;
  return PagePrecedes(kind, first, cutoff_page) &&
         PagePrecedes(kind, first + kSlruPagesPerSegment - 1, cutoff_page);
}

}  // namespace neon_redo

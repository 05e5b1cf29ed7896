// The masks follow access/common/bufmask.c and each access method's *_mask function;
// tests/integration/test_masks.py holds them against the server's own, page by page, on real
// and on mutated pages.
//
// Every mask has the same steps: LSN and checksum, the header's hints, the free space, then what
// the access method changes in place without a record. Order matters where a broken page makes the
// pieces overlap, and it is the server's, so that the two agree on broken pages as well. A blank
// is a zero byte.
//
// Where the server would follow an offset out of the page, these stop: MaskPage returns false for
// a special area that does not hold the access method's data, and a heap tuple whose header does
// not fit is left alone.
#include "cpp_core/pg/mask.h"

#include <cstring>

#include "cpp_core/pg/mask_parts.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/special_area.h"

namespace neon_redo {

using namespace mask;

namespace {

[[nodiscard]] bool MaskFreeSpace(uint8_t* page) {
  const PageView view(page);
  if (!view.has_valid_space()) return false;
  std::memset(page + view.lower(), 0, view.upper() - view.lower());
  return true;
}

// A reader that finds an index entry dead marks its line pointer without a record.
void MaskLinePointerFlags(uint8_t* page) {
  const PageView view(page);
  const uint32_t count = view.line_pointer_count();
  for (uint32_t i = 1; i <= count; i++) {
    LinePointer lp;
    if (!view.line_pointer(i, &lp)) return;
    lp.bits &= ~(kLinePointerFlagBits);
    std::memcpy(page + pg::LinePointerOffset(i), &lp.bits, sizeof(lp.bits));
  }
}

// A deleted page: redo leaves it empty, the server leaves the old bytes in it.
void MaskContent(uint8_t* page) {
  std::memset(page + kPageHeaderSize, 0, kBlockSize - kPageHeaderSize);
  pg::SetLower(page, 0);
  pg::SetUpper(page, 0);
}

// The special area, when size bytes of it lie in the page; null otherwise.
uint8_t* Special(uint8_t* page, size_t size) {
  const size_t at = PageView(page).special();
  return at + size <= kBlockSize ? page + at : nullptr;
}

// The bytes that round an item up to eight.
void MaskItemPadding(uint8_t* page, size_t offset, size_t length) {
  const size_t end = offset + length;
  const size_t padding = (8 - length % 8) % 8;
  if (end >= kBlockSize) return;
  std::memset(page + end, 0, padding < kBlockSize - end ? padding : kBlockSize - end);
}

bool MaskHeap(uint8_t* page, uint32_t block) {
  MaskHeaderHints(page);
  if (!MaskFreeSpace(page)) return false;
  const PageView view(page);
  // The count is read again each time, as in the server: a tuple of a broken page may lie over it.
  for (uint32_t i = 1; i <= view.line_pointer_count(); i++) {
    LinePointer lp;
    if (!view.line_pointer(i, &lp)) break;
    if (lp.flags() == kLpNormal && lp.offset() + kTupleHeaderEnd <= kBlockSize)
      MaskHeapTuple(page + lp.offset(), block, static_cast<uint16_t>(i));
    // The tuple of a broken page may lie over its own line pointer: the length is read again.
    const size_t offset = lp.offset();
    view.line_pointer(i, &lp);
    if (lp.length() != 0) MaskItemPadding(page, offset, lp.length());
  }
  return true;
}

bool MaskBtree(uint8_t* page) {
  MaskHeaderHints(page);
  if (!MaskFreeSpace(page)) return false;
  uint8_t* opaque = Special(page, pg::btree::kSpecialSize);
  if (opaque == nullptr) return false;
  uint8_t* flags = opaque + pg::btree::kFlags;
  if (pg::Get16(flags) & pg::btree::kLeaf) MaskLinePointerFlags(page);
  // Redo of a split clears the cycle id and sets no split-end on the right sibling.
  ClearBits16(flags, pg::btree::kHasGarbage | pg::btree::kSplitEnd);
  pg::Put16(opaque + pg::btree::kCycleId, 0);
  return true;
}

bool MaskHash(uint8_t* page) {
  MaskHeaderHints(page);
  if (!MaskFreeSpace(page)) return false;
  uint8_t* opaque = Special(page, pg::hash::kSpecialSize);
  if (opaque == nullptr) return false;
  uint8_t* flags = opaque + pg::hash::kFlags;
  const uint16_t type = pg::Get16(flags) & pg::hash::kPageTypes;
  if (type == 0)
    MaskContent(page);
  else if (type == pg::hash::kBucketPage || type == pg::hash::kOverflowPage)
    MaskLinePointerFlags(page);
  ClearBits16(flags, pg::hash::kHasDeadTuples);
  return true;
}

bool MaskGin(uint8_t* page) {
  const uint8_t* opaque = Special(page, pg::gin::kSpecialSize);
  if (opaque == nullptr) return false;
  MaskHeaderHints(page);
  if (pg::Get16(opaque + pg::gin::kFlags) & pg::gin::kDeleted) {
    MaskContent(page);
    return true;
  }
  // Pages from before 9.4 may have a pd_lower that says nothing.
  return PageView(page).lower() <= kPageHeaderSize || MaskFreeSpace(page);
}

bool MaskGist(uint8_t* page) {
  MaskHeaderHints(page);
  if (!MaskFreeSpace(page)) return false;
  uint8_t* opaque = Special(page, pg::gist::kSpecialSize);
  if (opaque == nullptr) return false;
  uint8_t* flags = opaque + pg::gist::kFlags;
  pg::Put64(opaque + pg::gist::kNsn, 0);  // the node sequence number is an LSN
  // Follow-right is set on the left child after the record is made; set in both is as good as clear
  // in both, and the server sets it.
  SetBits16(flags, pg::gist::kFollowRight);
  if (pg::Get16(flags) & pg::gist::kLeaf) MaskLinePointerFlags(page);
  ClearBits16(flags, pg::gist::kHasGarbage);
  return true;
}

bool MaskSpgist(uint8_t* page) {
  MaskHeaderHints(page);
  return PageView(page).lower() < kPageHeaderSize || MaskFreeSpace(page);
}

bool MaskBrin(uint8_t* page) {
  uint8_t* special = Special(page, pg::brin::kSpecialSize);
  if (special == nullptr) return false;
  MaskHeaderHints(page);
  const uint16_t type = pg::Get16(special + pg::brin::kType);
  if (type == pg::brin::kRegularPage ||
      (type == pg::brin::kMetaPage && PageView(page).lower() > kPageHeaderSize)) {
    if (!MaskFreeSpace(page)) return false;
  }
  ClearBits16(special + pg::brin::kFlags, pg::brin::kEvacuate);
  return true;
}

// nextval() logs a sequence 32 values ahead (SEQ_LOG_VALS) and then writes the true state into the
// page: last_value, log_cnt and is_called on disk are older than the record on purpose.
void MaskSequenceState(uint8_t* page) {
  LinePointer lp;
  if (!PageView(page).line_pointer(1, &lp) ||
      lp.offset() + pg::tuple::kTupleHeaderSize > kBlockSize)
    return;
  const size_t data = lp.offset() + page[lp.offset() + pg::tuple::kHoff];
  constexpr size_t kState = pg::sequence::kTupleDataSize;
  if (data + kState <= kBlockSize) std::memset(page + data, 0, kState);
}

// The metapage's list of pages with room is a cache that backends write back without a record
// (SpGistUpdateMetaPage).
void MaskSpgistMeta(uint8_t* page) {
  uint8_t* meta = page + kPageHeaderSize;
  if (pg::Get32(meta) == pg::spgist::kMetaMagic)
    std::memset(meta + pg::spgist::kLastUsedPagesAt, 0, pg::spgist::kLastUsedPagesSize);
}

}  // namespace

void MaskChecksum(uint8_t* page) { pg::SetChecksum(page, 0); }

void MaskLsnAndChecksum(uint8_t* page) {
  std::memset(page, 0, 8);
  MaskChecksum(page);
}

bool MaskPage(uint8_t rmid, uint8_t* page, uint32_t block) {
  MaskLsnAndChecksum(page);
  switch (rmid) {
    case kRmHeap2:
    case kRmHeap:
      return MaskHeap(page, block);
    case kRmBtree:
      return MaskBtree(page);
    case kRmHash:
      return MaskHash(page);
    case kRmGin:
      return MaskGin(page);
    case kRmGist:
      return MaskGist(page);
    case kRmSpgist:
      return MaskSpgist(page);
    case kRmBrin:
      return MaskBrin(page);
    case kRmSeq:
    case kRmGeneric:
      return MaskFreeSpace(page);
    default:
      return true;
  }
}

void MaskUnlogged(uint8_t rmid, uint8_t* page, uint32_t block) {
  if (rmid == kRmSeq) MaskSequenceState(page);
  if (rmid == kRmSpgist && block == 0) MaskSpgistMeta(page);
}

void MaskUnread(uint8_t rmid, uint8_t* page) {
  if (rmid != kRmGist) return;
  if (uint8_t* opaque = Special(page, pg::gist::kSpecialSize))
    ClearBits16(opaque + pg::gist::kFlags, pg::gist::kTuplesDeleted);
}

uint8_t GuessResourceManager(const uint8_t* page) {
  const PageView view(page);
  if (view.is_new() || !view.has_valid_space()) return kRmXlog;
  const size_t special = kBlockSize - view.special();
  if (special == 0) return kRmHeap;
  // The access methods keep an identifying word at the very end of the page.
  const uint16_t last = pg::Get16(page + pg::kPageIdAt);
  if (special == pg::btree::kSpecialSize) {
    if (last == pg::hash::kPageId) return kRmHash;
    if (last == pg::gist::kPageId) return kRmGist;
    return last <= pg::btree::kMaxCycleId ? kRmBtree : kRmGeneric;
  }
  if (special != pg::gin::kSpecialSize) return kRmGeneric;
  if (last == pg::spgist::kPageId) return kRmSpgist;
  if (last == pg::brin::kMetaPage || last == pg::brin::kRevmapPage ||
      last == pg::brin::kRegularPage)
    return kRmBrin;
  // A sequence is one page of one tuple; no GIN page with a right sibling looks like it.
  const uint8_t* area = page + view.special();
  if (pg::Get32(area) == pg::sequence::kMagic && pg::Get32(area + 4) == 0 &&
      view.line_pointer_count() == 1)
    return kRmSeq;
  return last <= pg::gin::kAllFlags ? kRmGin : kRmGeneric;
}

}  // namespace neon_redo

// The masks follow access/common/bufmask.c and each access method's *_mask function of PostgreSQL
// 15; tests/integration/test_masks.py holds them against the server's own, page by page, on real
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
    lp.bits &= ~(uint32_t{3} << 15);
    std::memcpy(page + kPageHeaderSize + 4 * (i - 1), &lp.bits, sizeof(lp.bits));
  }
}

// A deleted page: redo makes it anew and empty, the server leaves the old bytes in it.
void MaskContent(uint8_t* page) {
  std::memset(page + kPageHeaderSize, 0, kBlockSize - kPageHeaderSize);
  std::memset(page + kLowerAt, 0, 4);  // pd_lower and pd_upper
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
  // The count is read anew each time, as in the server: a tuple of a broken page may lie over it.
  for (uint32_t i = 1; i <= view.line_pointer_count(); i++) {
    LinePointer lp;
    if (!view.line_pointer(i, &lp)) break;
    if (lp.flags() == kLpNormal && lp.offset() + kTupleHeaderEnd <= kBlockSize)
      MaskHeapTuple(page + lp.offset(), block, static_cast<uint16_t>(i));
    // The tuple of a broken page may lie over its own line pointer: the length is read anew.
    const size_t offset = lp.offset();
    view.line_pointer(i, &lp);
    if (lp.length() != 0) MaskItemPadding(page, offset, lp.length());
  }
  return true;
}

// BTPageOpaqueData (access/nbtree.h).
constexpr uint16_t kBtLeaf = 1 << 0;
constexpr uint16_t kBtSplitEnd = 1 << 5;
constexpr uint16_t kBtHasGarbage = 1 << 6;

bool MaskBtree(uint8_t* page) {
  MaskHeaderHints(page);
  if (!MaskFreeSpace(page)) return false;
  uint8_t* opaque = Special(page, 16);
  if (opaque == nullptr) return false;
  if (Load16(opaque + 12) & kBtLeaf) MaskLinePointerFlags(page);
  // Redo of a split clears the cycle id and sets no split-end on the right sibling.
  ClearBits16(opaque + 12, kBtHasGarbage | kBtSplitEnd);
  Store16(opaque + 14, 0);
  return true;
}

// HashPageOpaqueData (access/hash.h).
constexpr uint16_t kHashOverflow = 1 << 0;
constexpr uint16_t kHashBucket = 1 << 1;
constexpr uint16_t kHashPageType = 0x0f;
constexpr uint16_t kHashHasDeadTuples = 1 << 7;

bool MaskHash(uint8_t* page) {
  MaskHeaderHints(page);
  if (!MaskFreeSpace(page)) return false;
  uint8_t* opaque = Special(page, 16);
  if (opaque == nullptr) return false;
  const uint16_t type = Load16(opaque + 12) & kHashPageType;
  if (type == 0)
    MaskContent(page);
  else if (type == kHashBucket || type == kHashOverflow)
    MaskLinePointerFlags(page);
  ClearBits16(opaque + 12, kHashHasDeadTuples);
  return true;
}

constexpr uint16_t kGinDeleted = 1 << 2;

// GinPageOpaqueData (access/ginblock.h).
bool MaskGin(uint8_t* page) {
  const uint8_t* opaque = Special(page, 8);
  if (opaque == nullptr) return false;
  MaskHeaderHints(page);
  if (Load16(opaque + 6) & kGinDeleted) {
    MaskContent(page);
    return true;
  }
  // Pages from before 9.4 may have a pd_lower that says nothing.
  return PageView(page).lower() <= kPageHeaderSize || MaskFreeSpace(page);
}

// GISTPageOpaqueData (access/gist.h).
constexpr uint16_t kGistLeaf = 1 << 0;
constexpr uint16_t kGistFollowRight = 1 << 3;
constexpr uint16_t kGistHasGarbage = 1 << 4;

bool MaskGist(uint8_t* page) {
  MaskHeaderHints(page);
  if (!MaskFreeSpace(page)) return false;
  uint8_t* opaque = Special(page, 16);
  if (opaque == nullptr) return false;
  std::memset(opaque, 0, 8);  // the node sequence number is an LSN
  // Follow-right is set on the left child after the record is made; set in both is as good as clear
  // in both, and the server sets it.
  SetBits16(opaque + 12, kGistFollowRight);
  if (Load16(opaque + 12) & kGistLeaf) MaskLinePointerFlags(page);
  ClearBits16(opaque + 12, kGistHasGarbage);
  return true;
}

bool MaskSpgist(uint8_t* page) {
  MaskHeaderHints(page);
  return PageView(page).lower() < kPageHeaderSize || MaskFreeSpace(page);
}

// BrinSpecialSpace (access/brin_page.h): flags and type are its last two words.
constexpr uint16_t kBrinMeta = 0xf091;
constexpr uint16_t kBrinRevmap = 0xf092;
constexpr uint16_t kBrinRegular = 0xf093;
constexpr uint16_t kBrinEvacuate = 1 << 0;

bool MaskBrin(uint8_t* page) {
  uint8_t* special = Special(page, 8);
  if (special == nullptr) return false;
  MaskHeaderHints(page);
  const uint16_t type = Load16(special + 6);
  if (type == kBrinRegular || (type == kBrinMeta && PageView(page).lower() > kPageHeaderSize)) {
    if (!MaskFreeSpace(page)) return false;
  }
  ClearBits16(special + 4, kBrinEvacuate);
  return true;
}

constexpr uint32_t kSequenceMagic = 0x1717;           // SEQ_MAGIC in commands/sequence.c
constexpr uint32_t kSpgistMetaMagic = 0xba0babee;     // SPGIST_MAGIC_NUMBER
constexpr size_t kSpgistMetaContent = 24;             // PageGetContents
constexpr size_t kSpgistLastUsedPages = 8 * (4 + 4);  // SpGistLUPCache

// nextval() logs a sequence 32 values ahead (SEQ_LOG_VALS) and then writes the true state into the
// page: last_value, log_cnt and is_called on disk are behind the record on purpose.
void MaskSequenceState(uint8_t* page) {
  LinePointer lp;
  if (!PageView(page).line_pointer(1, &lp) || lp.offset() + kTupleHeaderEnd + 1 > kBlockSize)
    return;
  const size_t data = lp.offset() + page[lp.offset() + 22];  // t_hoff
  constexpr size_t kState = 8 + 8 + 1;                       // FormData_pg_sequence_data
  if (data + kState <= kBlockSize) std::memset(page + data, 0, kState);
}

// The metapage's list of pages with room is a cache that backends write back without a record
// (SpGistUpdateMetaPage).
void MaskSpgistMeta(uint8_t* page) {
  uint8_t* meta = page + kSpgistMetaContent;
  if (LoadNative<uint32_t>(meta) == kSpgistMetaMagic)
    std::memset(meta + 4, 0, kSpgistLastUsedPages);
}

}  // namespace

bool HasMask(uint8_t rmid) { return (rmid >= kHeap2 && rmid <= kBrin) || rmid == kGeneric; }

void MaskChecksum(uint8_t* page) { std::memset(page + kChecksumAt, 0, 2); }

void MaskLsnAndChecksum(uint8_t* page) {
  std::memset(page, 0, 8);
  MaskChecksum(page);
}

bool MaskPage(uint8_t rmid, uint8_t* page, uint32_t block) {
  MaskLsnAndChecksum(page);
  switch (rmid) {
    case kHeap2:
    case kHeap:
      return MaskHeap(page, block);
    case kBtree:
      return MaskBtree(page);
    case kHash:
      return MaskHash(page);
    case kGin:
      return MaskGin(page);
    case kGist:
      return MaskGist(page);
    case kSpgist:
      return MaskSpgist(page);
    case kBrin:
      return MaskBrin(page);
    case kSequence:
    case kGeneric:
      return MaskFreeSpace(page);
    default:
      return true;
  }
}

void MaskUnlogged(uint8_t rmid, uint8_t* page, uint32_t block) {
  if (rmid == kSequence) MaskSequenceState(page);
  if (rmid == kSpgist && block == 0) MaskSpgistMeta(page);
}

uint8_t GuessResourceManager(const uint8_t* page) {
  const PageView view(page);
  if (view.is_new() || !view.has_valid_space()) return kXlog;
  const size_t special = kBlockSize - view.special();
  if (special == 0) return kHeap;
  // The access methods keep an identifying word at the very end of the page.
  const uint16_t last = Load16(page + kBlockSize - 2);
  if (special == 16) {
    if (last == 0xff80) return kHash;           // HASHO_PAGE_ID
    if (last == 0xff81) return kGist;           // GIST_PAGE_ID
    return last <= 0xff7f ? kBtree : kGeneric;  // a cycle id, up to MAX_BT_CYCLE_ID
  }
  if (special != 8) return kGeneric;
  if (last == 0xff82) return kSpgist;  // SPGIST_PAGE_ID
  if (last == kBrinMeta || last == kBrinRevmap || last == kBrinRegular) return kBrin;
  // A sequence is one page of one tuple; no GIN page with a right sibling looks like it.
  const uint8_t* area = page + view.special();
  if (LoadNative<uint32_t>(area) == kSequenceMagic && LoadNative<uint32_t>(area + 4) == 0 &&
      view.line_pointer_count() == 1)
    return kSequence;
  return last <= 0xff ? kGin : kGeneric;
}

}  // namespace neon_redo

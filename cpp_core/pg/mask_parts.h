// What mask.cpp and masked_compare.cpp share.
#ifndef NEON_REDO_PG_MASK_PARTS_H_
#define NEON_REDO_PG_MASK_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpp_core/pg/page.h"
#include "neon_redo/bytes.h"

namespace neon_redo::mask {

// rmgrlist.h; cpp_core/wal comes after this folder, so its names are not at hand.
enum : uint8_t {
  kXlog = 0,
  kHeap2 = 9,
  kHeap = 10,
  kBtree = 11,
  kHash = 12,
  kGin = 13,
  kGist = 14,
  kSequence = 15,
  kSpgist = 16,
  kBrin = 17,
  kGeneric = 20,
};

// Offsets in the page header (PageHeaderData).
inline constexpr size_t kChecksumAt = 8;
inline constexpr size_t kFlagsAt = 10;
inline constexpr size_t kLowerAt = 12;
inline constexpr size_t kPruneXidAt = 20;

inline uint16_t Load16(const uint8_t* p) { return LoadNative<uint16_t>(p); }
inline void Store16(uint8_t* p, uint16_t v) { std::memcpy(p, &v, sizeof(v)); }
inline void ClearBits16(uint8_t* p, uint16_t bits) { Store16(p, Load16(p) & ~bits); }
inline void SetBits16(uint8_t* p, uint16_t bits) { Store16(p, Load16(p) | bits); }

// pd_prune_xid and the flags are set by whoever reads the page. All-visible: redo of
// XLOG_HEAP2_VISIBLE leaves it out when the page is already newer.
inline void MaskHeaderHints(uint8_t* page) {
  std::memset(page + kPruneXidAt, 0, 4);
  ClearBits16(page + kFlagsAt, kPdPageFull | kPdHasFreeLines | kPdAllVisible);
}

// Heap tuple header (HeapTupleHeaderData in access/htup_details.h).
inline constexpr size_t kTupleCid = 8;
inline constexpr size_t kTupleCtid = 12;
inline constexpr size_t kTupleCtidSize = 6;
inline constexpr size_t kTupleInfomask = 20;
inline constexpr size_t kTupleHeaderEnd = 22;  // of what is looked at
inline constexpr uint16_t kHeapXactMask = 0xfff0;
inline constexpr uint16_t kHeapXminFrozen = 0x0300;
inline constexpr uint16_t kHeapXmaxCommitted = 0x0400;
inline constexpr uint16_t kHeapXmaxInvalid = 0x0800;
inline constexpr uint16_t kSpeculativeOffset = 0xfffe;  // SpecTokenOffsetNumber

inline void MaskHeapTuple(uint8_t* tuple, uint32_t block, uint16_t number) {
  uint8_t* infomask = tuple + kTupleInfomask;
  // A frozen xmin is logged, so its bits count; what is known of xmax is a hint in any case.
  const bool frozen = (Load16(infomask) & kHeapXminFrozen) == kHeapXminFrozen;
  ClearBits16(infomask, frozen ? kHeapXmaxInvalid | kHeapXmaxCommitted : kHeapXactMask);

  std::memset(tuple + kTupleCid, 0, 4);  // not logged: redo stores FirstCommandId

  // A speculative insertion (ON CONFLICT) keeps its token where the tuple's own address will
  // stand; redo stores the address at once.
  uint8_t* ctid = tuple + kTupleCtid;
  if (Load16(ctid + 4) == kSpeculativeOffset) {
    Store16(ctid, static_cast<uint16_t>(block >> 16));
    Store16(ctid + 2, static_cast<uint16_t>(block));
    Store16(ctid + 4, number);
  }
}

}  // namespace neon_redo::mask

#endif  // NEON_REDO_PG_MASK_PARTS_H_

// What mask.cpp and masked_compare.cpp share.
#ifndef NEON_REDO_PG_MASK_PARTS_H_
#define NEON_REDO_PG_MASK_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "neon_redo/bytes.h"

namespace neon_redo::mask {

inline void ClearBits16(uint8_t* p, uint16_t bits) { pg::Put16(p, pg::Get16(p) & ~bits); }
inline void SetBits16(uint8_t* p, uint16_t bits) { pg::Put16(p, pg::Get16(p) | bits); }

// pd_prune_xid and the flags are set by backends that only read the page. The all-visible flag:
// redo of XLOG_HEAP2_VISIBLE leaves it out when the page is already newer.
inline void MaskHeaderHints(uint8_t* page) {
  pg::SetPruneXid(page, 0);
  pg::ClearFlags(page, kPdPageFull | kPdHasFreeLines | kPdAllVisible);
}

// The part of a heap tuple that MaskHeapTuple looks at: up to and with t_infomask.
inline constexpr size_t kTupleHeaderEnd = pg::tuple::kInfomask + 2;

inline void MaskHeapTuple(uint8_t* tuple, uint32_t block, uint16_t number) {
  namespace t = pg::tuple;
  uint8_t* infomask = tuple + t::kInfomask;
  // A frozen xmin is logged, so its bits count; what is known of xmax is a hint in any case.
  const bool frozen = (pg::Get16(infomask) & t::kXminFrozen) == t::kXminFrozen;
  ClearBits16(infomask, frozen ? t::kXmaxInvalid | t::kXmaxCommitted : t::kXactMask);

  pg::Put32(tuple + t::kCid, 0);  // not logged: redo stores FirstCommandId

  // A speculative insertion (ON CONFLICT) keeps its token where the tuple's own address will
  // stand; redo stores the address at once.
  uint8_t* ctid = tuple + t::kCtid;
  if (pg::Get16(ctid + 4) == t::kSpeculativeToken) pg::PutItemPointer(ctid, block, number);
}

}  // namespace neon_redo::mask

#endif  // NEON_REDO_PG_MASK_PARTS_H_

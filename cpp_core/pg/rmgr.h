// Resource managers, numbered and named as in access/rmgrlist.h. The numbers are stored in WAL; all
// versions share them.
#ifndef NEON_REDO_PG_RMGR_H_
#define NEON_REDO_PG_RMGR_H_

#include <cstdint>

namespace neon_redo {

enum RmgrId : uint8_t {
  kRmXlog = 0,
  kRmXact = 1,
  kRmSmgr = 2,
  kRmClog = 3,
  kRmDbase = 4,
  kRmTblspc = 5,
  kRmMultiXact = 6,
  kRmRelMap = 7,
  kRmStandby = 8,
  kRmHeap2 = 9,
  kRmHeap = 10,
  kRmBtree = 11,
  kRmHash = 12,
  kRmGin = 13,
  kRmGist = 14,
  kRmSeq = 15,
  kRmSpgist = 16,
  kRmBrin = 17,
  kRmCommitTs = 18,
  kRmReplOrigin = 19,
  kRmGeneric = 20,
  kRmLogicalMsg = 21,
};
inline constexpr uint8_t kMaxBuiltinRmgr = kRmLogicalMsg;  // RM_MAX_BUILTIN_ID
inline constexpr uint8_t kMinCustomRmgr = 128;             // RM_MIN_CUSTOM_ID

// RmgrIdIsValid: built in, or in the range kept for extensions.
inline constexpr bool RmgrIsValid(uint8_t rmid) {
  return rmid <= kMaxBuiltinRmgr || rmid >= kMinCustomRmgr;
}

// "Heap2", "Btree", as pg_waldump prints them; null when rmid is not a built-in one.
const char* RmgrName(uint8_t rmid);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_RMGR_H_

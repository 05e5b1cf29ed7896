// The names of flags on pages. Those of heap tuples are as pageinspect's heap_tuple_infomask_flags prints
// them, those of GIN and GiST as its functions for these; others follow the same manner.
#ifndef NEON_REDO_PG_FLAG_NAMES_H_
#define NEON_REDO_PG_FLAG_NAMES_H_

#include <cstdint>

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/special_area.h"

namespace neon_redo::pg {

struct FlagName {
  uint32_t bits;  // all of them are set
  const char* name;
};

inline constexpr FlagName kPageFlagNames[] = {{kPdHasFreeLines, "PD_HAS_FREE_LINES"},
                                              {kPdPageFull, "PD_PAGE_FULL"},
                                              {kPdAllVisible, "PD_ALL_VISIBLE"}};

inline constexpr FlagName kInfomaskNames[] = {
    {tuple::kHasNull, "HEAP_HASNULL"},
    {tuple::kHasVarWidth, "HEAP_HASVARWIDTH"},
    {tuple::kHasExternal, "HEAP_HASEXTERNAL"},
    {tuple::kHasOidOld, "HEAP_HASOID_OLD"},
    {tuple::kXmaxKeyShareLock, "HEAP_XMAX_KEYSHR_LOCK"},
    {tuple::kComboCid, "HEAP_COMBOCID"},
    {tuple::kXmaxExclusiveLock, "HEAP_XMAX_EXCL_LOCK"},
    {tuple::kXmaxLockOnly, "HEAP_XMAX_LOCK_ONLY"},
    {tuple::kXminCommitted, "HEAP_XMIN_COMMITTED"},
    {tuple::kXminInvalid, "HEAP_XMIN_INVALID"},
    {tuple::kXmaxCommitted, "HEAP_XMAX_COMMITTED"},
    {tuple::kXmaxInvalid, "HEAP_XMAX_INVALID"},
    {tuple::kXmaxIsMulti, "HEAP_XMAX_IS_MULTI"},
    {tuple::kUpdated, "HEAP_UPDATED"},
    {tuple::kMovedOff, "HEAP_MOVED_OFF"},
    {tuple::kMovedIn, "HEAP_MOVED_IN"},
};
inline constexpr FlagName kInfomask2Names[] = {{tuple::kKeysUpdated, "HEAP_KEYS_UPDATED"},
                                               {tuple::kHotUpdated, "HEAP_HOT_UPDATED"},
                                               {tuple::kOnlyTuple, "HEAP_ONLY_TUPLE"}};
// What several of t_infomask mean together.
inline constexpr FlagName kCombinedInfomaskNames[] = {{tuple::kLockMask, "HEAP_XMAX_SHR_LOCK"},
                                                      {tuple::kXminFrozen, "HEAP_XMIN_FROZEN"},
                                                      {tuple::kMoved, "HEAP_MOVED"}};

inline constexpr FlagName kBtreeFlagNames[] = {{btree::kLeaf, "leaf"},
                                               {btree::kRoot, "root"},
                                               {btree::kDeleted, "deleted"},
                                               {btree::kMeta, "meta"},
                                               {btree::kHalfDead, "half_dead"},
                                               {btree::kSplitEnd, "split_end"},
                                               {btree::kHasGarbage, "has_garbage"},
                                               {btree::kIncompleteSplit, "incomplete_split"},
                                               {btree::kHasFullXid, "has_fullxid"}};
inline constexpr FlagName kHashFlagNames[] = {{hash::kOverflowPage, "overflow"},
                                              {hash::kBucketPage, "bucket"},
                                              {hash::kBitmapPage, "bitmap"},
                                              {hash::kMetaPage, "meta"},
                                              {hash::kBeingPopulated, "bucket_being_populated"},
                                              {hash::kBeingSplit, "bucket_being_split"},
                                              {hash::kNeedsSplitCleanup, "needs_split_cleanup"},
                                              {hash::kHasDeadTuples, "has_dead_tuples"}};
inline constexpr FlagName kGinFlagNames[] = {{gin::kData, "data"},
                                             {gin::kLeaf, "leaf"},
                                             {gin::kDeleted, "deleted"},
                                             {gin::kMeta, "meta"},
                                             {gin::kList, "list"},
                                             {gin::kListFullRow, "list_fullrow"},
                                             {gin::kIncompleteSplit, "incomplete_split"},
                                             {gin::kCompressed, "compressed"}};
inline constexpr FlagName kGistFlagNames[] = {{gist::kLeaf, "leaf"},
                                              {gist::kDeleted, "deleted"},
                                              {gist::kTuplesDeleted, "tuples_deleted"},
                                              {gist::kFollowRight, "follow_right"},
                                              {gist::kHasGarbage, "has_garbage"}};
inline constexpr FlagName kSpgistFlagNames[] = {{spgist::kMeta, "meta"},
                                                {spgist::kDeleted, "deleted"},
                                                {spgist::kLeafPage, "leaf"},
                                                {spgist::kNullsPage, "nulls"}};
inline constexpr FlagName kBrinFlagNames[] = {{brin::kEvacuate, "evacuate"}};

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_FLAG_NAMES_H_

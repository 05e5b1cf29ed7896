// Holds cpp_core/pg's pages against the headers of the server: page headers, tuples, special areas,
// the visibility map and SLRUs.
extern "C" {
#include "postgres.h"
//
#include "access/brin_page.h"
#include "access/clog.h"
#include "access/gin_private.h"
#include "access/gist.h"
#include "access/hash.h"
#include "access/heapam_xlog.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/itup.h"
#include "access/multixact.h"
#include "access/nbtree.h"
#include "access/spgist_private.h"
#include "access/visibilitymapdefs.h"
#include "commands/sequence.h"
#include "storage/bufpage.h"
}
#include "tests/unit/pg_layout_check.h"

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/index_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/pg/visibility_map.h"

namespace neon_redo {
namespace {

// Pages
SAME(kBlockSize, BLCKSZ);
SAME(kPageHeaderSize, SizeOfPageHeaderData);
SAME(kPageLayoutVersion, PG_PAGE_LAYOUT_VERSION);
SAME(0, offsetof(PageHeaderData, pd_lsn));
SAME(kPageChecksumAt, offsetof(PageHeaderData, pd_checksum));
SAME(kPageFlagsAt, offsetof(PageHeaderData, pd_flags));
SAME(kPageLowerAt, offsetof(PageHeaderData, pd_lower));
SAME(kPageUpperAt, offsetof(PageHeaderData, pd_upper));
SAME(kPageSpecialAt, offsetof(PageHeaderData, pd_special));
SAME(kPageSizeAndVersionAt, offsetof(PageHeaderData, pd_pagesize_version));
SAME(kPagePruneXidAt, offsetof(PageHeaderData, pd_prune_xid));
SAME(kPdHasFreeLines, PD_HAS_FREE_LINES);
SAME(kPdPageFull, PD_PAGE_FULL);
SAME(kPdAllVisible, PD_ALL_VISIBLE);
SAME(kLinePointerSize, sizeof(ItemIdData));
SAME(kLpUnused, LP_UNUSED);
SAME(kLpNormal, LP_NORMAL);
SAME(kLpRedirect, LP_REDIRECT);
SAME(kLpDead, LP_DEAD);
SAME(pg::kItemPointerSize, sizeof(ItemPointerData));

// Heap tuples
namespace tuple = pg::tuple;
SAME(tuple::kTupleHeaderSize, SizeofHeapTupleHeader);
SAME(tuple::kMaxTupleSize, MaxHeapTupleSize);
SAME(tuple::kMaxHeapTuples, MaxHeapTuplesPerPage);
SAME(tuple::kXmin, offsetof(HeapTupleHeaderData, t_choice.t_heap.t_xmin));
SAME(tuple::kXmax, offsetof(HeapTupleHeaderData, t_choice.t_heap.t_xmax));
SAME(tuple::kCid, offsetof(HeapTupleHeaderData, t_choice.t_heap.t_field3));
SAME(tuple::kCtid, offsetof(HeapTupleHeaderData, t_ctid));
SAME(tuple::kInfomask2, offsetof(HeapTupleHeaderData, t_infomask2));
SAME(tuple::kInfomask, offsetof(HeapTupleHeaderData, t_infomask));
SAME(tuple::kHoff, offsetof(HeapTupleHeaderData, t_hoff));
SAME(tuple::kXmaxKeyShareLock, HEAP_XMAX_KEYSHR_LOCK);
SAME(tuple::kComboCid, HEAP_COMBOCID);
SAME(tuple::kXmaxExclusiveLock, HEAP_XMAX_EXCL_LOCK);
SAME(tuple::kXmaxLockOnly, HEAP_XMAX_LOCK_ONLY);
SAME(tuple::kXminCommitted, HEAP_XMIN_COMMITTED);
SAME(tuple::kXminInvalid, HEAP_XMIN_INVALID);
SAME(tuple::kXminFrozen, HEAP_XMIN_FROZEN);
SAME(tuple::kXmaxCommitted, HEAP_XMAX_COMMITTED);
SAME(tuple::kXmaxInvalid, HEAP_XMAX_INVALID);
SAME(tuple::kXmaxIsMulti, HEAP_XMAX_IS_MULTI);
SAME(tuple::kMoved, HEAP_MOVED);
SAME(tuple::kXactMask, HEAP_XACT_MASK);
SAME(tuple::kLockMask, HEAP_LOCK_MASK);
SAME(tuple::kXmaxBits, HEAP_XMAX_BITS);
SAME(tuple::kKeysUpdated, HEAP_KEYS_UPDATED);
SAME(tuple::kHotUpdated, HEAP_HOT_UPDATED);
SAME(tuple::kSpeculativeToken, SpecTokenOffsetNumber);
SAME(tuple::kMovedPartitions, MovedPartitionsOffsetNumber);
SAME(tuple::kStoredHeaderSize, SizeOfHeapHeader);
SAME(2 + tuple::kStoredHeaderSize, SizeOfMultiInsertTuple);
SAME(tuple::kStoredXmaxIsMulti, XLHL_XMAX_IS_MULTI);
SAME(tuple::kStoredXmaxLockOnly, XLHL_XMAX_LOCK_ONLY);
SAME(tuple::kStoredXmaxExclusiveLock, XLHL_XMAX_EXCL_LOCK);
SAME(tuple::kStoredXmaxKeyShareLock, XLHL_XMAX_KEYSHR_LOCK);
SAME(tuple::kStoredKeysUpdated, XLHL_KEYS_UPDATED);

// Index tuples
SAME(pg::kMaxIndexTuples, MaxIndexTuplesPerPage);
SAME(pg::kIndexTupleHeaderSize, sizeof(IndexTupleData));
SAME(pg::kIndexTupleInfoAt, offsetof(IndexTupleData, t_info));
SAME(pg::kIndexSizeMask, INDEX_SIZE_MASK);
SAME(pg::kIndexAltTid, INDEX_ALT_TID_MASK);
SAME(pg::kBtreeIsPosting, BT_IS_POSTING);
SAME(pg::kBtreeCountMask, BT_OFFSET_MASK);

// Special areas
SAME(pg::btree::kSpecialSize, sizeof(BTPageOpaqueData));
SAME(pg::btree::kPrev, offsetof(BTPageOpaqueData, btpo_prev));
SAME(pg::btree::kNext, offsetof(BTPageOpaqueData, btpo_next));
SAME(pg::btree::kLevel, offsetof(BTPageOpaqueData, btpo_level));
SAME(pg::btree::kFlags, offsetof(BTPageOpaqueData, btpo_flags));
SAME(pg::btree::kCycleId, offsetof(BTPageOpaqueData, btpo_cycleid));
SAME(pg::btree::kLeaf, BTP_LEAF);
SAME(pg::btree::kRoot, BTP_ROOT);
SAME(pg::btree::kDeleted, BTP_DELETED);
SAME(pg::btree::kMeta, BTP_META);
SAME(pg::btree::kHalfDead, BTP_HALF_DEAD);
SAME(pg::btree::kSplitEnd, BTP_SPLIT_END);
SAME(pg::btree::kHasGarbage, BTP_HAS_GARBAGE);
SAME(pg::btree::kIncompleteSplit, BTP_INCOMPLETE_SPLIT);
SAME(pg::btree::kHasFullXid, BTP_HAS_FULLXID);
SAME(pg::btree::kMaxCycleId, MAX_BT_CYCLE_ID);
SAME(pg::hash::kSpecialSize, sizeof(HashPageOpaqueData));
SAME(pg::hash::kFlags, offsetof(HashPageOpaqueData, hasho_flag));
SAME(pg::hash::kOverflowPage, LH_OVERFLOW_PAGE);
SAME(pg::hash::kBucketPage, LH_BUCKET_PAGE);
SAME(pg::hash::kPageTypes, LH_PAGE_TYPE);
SAME(pg::hash::kHasDeadTuples, LH_PAGE_HAS_DEAD_TUPLES);
SAME(pg::hash::kPageId, HASHO_PAGE_ID);
SAME(pg::hash::kMetaTupleCount, offsetof(HashMetaPageData, hashm_ntuples));
SAME(pg::gin::kSpecialSize, sizeof(GinPageOpaqueData));
SAME(pg::gin::kRightLink, offsetof(GinPageOpaqueData, rightlink));
SAME(pg::gin::kMaxOffset, offsetof(GinPageOpaqueData, maxoff));
SAME(pg::gin::kFlags, offsetof(GinPageOpaqueData, flags));
SAME(pg::gin::kData, GIN_DATA);
SAME(pg::gin::kLeaf, GIN_LEAF);
SAME(pg::gin::kDeleted, GIN_DELETED);
SAME(pg::gin::kMeta, GIN_META);
SAME(pg::gin::kList, GIN_LIST);
SAME(pg::gin::kListFullRow, GIN_LIST_FULLROW);
SAME(pg::gin::kIncompleteSplit, GIN_INCOMPLETE_SPLIT);
SAME(pg::gin::kCompressed, GIN_COMPRESSED);
SAME(pg::gin::kMetaSize, sizeof(GinMetaPageData));
SAME(pg::gist::kSpecialSize, sizeof(GISTPageOpaqueData));
SAME(pg::gist::kNsn, offsetof(GISTPageOpaqueData, nsn));
SAME(pg::gist::kRightLink, offsetof(GISTPageOpaqueData, rightlink));
SAME(pg::gist::kFlags, offsetof(GISTPageOpaqueData, flags));
SAME(pg::gist::kPageIdField, offsetof(GISTPageOpaqueData, gist_page_id));
SAME(pg::gist::kLeaf, F_LEAF);
SAME(pg::gist::kDeleted, F_DELETED);
SAME(pg::gist::kTuplesDeleted, F_TUPLES_DELETED);
SAME(pg::gist::kFollowRight, F_FOLLOW_RIGHT);
SAME(pg::gist::kHasGarbage, F_HAS_GARBAGE);
SAME(pg::gist::kPageId, GIST_PAGE_ID);
SAME(pg::spgist::kSpecialSize, sizeof(SpGistPageOpaqueData));
SAME(pg::spgist::kFlags, offsetof(SpGistPageOpaqueData, flags));
SAME(pg::spgist::kPlaceholders, offsetof(SpGistPageOpaqueData, nPlaceholder));
SAME(pg::spgist::kPageIdField, offsetof(SpGistPageOpaqueData, spgist_page_id));
SAME(pg::spgist::kLeafPage, SPGIST_LEAF);
SAME(pg::spgist::kNullsPage, SPGIST_NULLS);
SAME(pg::spgist::kPageId, SPGIST_PAGE_ID);
SAME(pg::spgist::kMetaMagic, SPGIST_MAGIC_NUMBER);
SAME(pg::spgist::kLastUsedPagesAt, offsetof(SpGistMetaPageData, lastUsedPages));
SAME(pg::spgist::kLastUsedPagesSize, sizeof(SpGistLUPCache));
SAME(pg::brin::kSpecialSize, sizeof(BrinSpecialSpace));
SAME(pg::brin::kEvacuate, BRIN_EVACUATE_PAGE);
SAME(pg::brin::kMetaPage, BRIN_PAGETYPE_META);
SAME(pg::brin::kRevmapPage, BRIN_PAGETYPE_REVMAP);
SAME(pg::brin::kRegularPage, BRIN_PAGETYPE_REGULAR);
SAME(pg::brin::kMetaMagic, BRIN_META_MAGIC);
SAME(pg::brin::kMetaSize, sizeof(BrinMetaPageData));
SAME(pg::sequence::kTupleDataSize, offsetof(FormData_pg_sequence_data, is_called) + 1);

// The visibility map. The arithmetic is private to access/heap/visibilitymap.c.
SAME(kAllVisibleBit, VISIBILITYMAP_ALL_VISIBLE);
SAME(kAllFrozenBit, VISIBILITYMAP_ALL_FROZEN);
SAME(kMapBytesOnPage, BLCKSZ - MAXALIGN(SizeOfPageHeaderData));
SAME(kHeapBlocksInMapByte* BITS_PER_HEAPBLOCK, BITS_PER_BYTE);

// SLRUs. The entries on a page are private to clog.c, multixact.c and commit_ts.c.
SAME(kXactCommitted, TRANSACTION_STATUS_COMMITTED);
SAME(kXactAborted, TRANSACTION_STATUS_ABORTED);
SAME(kServer.multixact_offset_size, sizeof(MultiXactOffset));
#if PG_VERSION_NUM < 190000
SAME(kOffsetEntrySize, sizeof(MultiXactOffset));
#endif
SAME(kMaxMemberStatus, +MaxMultiXactStatus);

}  // namespace
}  // namespace neon_redo

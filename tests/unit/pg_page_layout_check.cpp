// Holds cpp_core/pg's pages against the headers of the server: page headers, tuples, special areas,
// the visibility map and SLRUs.
extern "C" {
#include "postgres.h"
//
#include "access/brin_page.h"
#include "access/brin_tuple.h"
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
#include "cpp_core/pg/index_page.h"
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
SAME(tuple::kHasNull, HEAP_HASNULL);
SAME(tuple::kHasVarWidth, HEAP_HASVARWIDTH);
SAME(tuple::kHasExternal, HEAP_HASEXTERNAL);
SAME(tuple::kHasOidOld, HEAP_HASOID_OLD);
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
SAME(tuple::kUpdated, HEAP_UPDATED);
SAME(tuple::kMovedOff, HEAP_MOVED_OFF);
SAME(tuple::kMovedIn, HEAP_MOVED_IN);
SAME(tuple::kMoved, HEAP_MOVED);
SAME(tuple::kXactMask, HEAP_XACT_MASK);
SAME(tuple::kLockMask, HEAP_LOCK_MASK);
SAME(tuple::kXmaxBits, HEAP_XMAX_BITS);
SAME(tuple::kNattsMask, HEAP_NATTS_MASK);
SAME(tuple::kKeysUpdated, HEAP_KEYS_UPDATED);
SAME(tuple::kHotUpdated, HEAP_HOT_UPDATED);
SAME(tuple::kOnlyTuple, HEAP_ONLY_TUPLE);
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
SAME(pg::kIndexHasVarwidths, INDEX_VAR_MASK);
SAME(pg::kIndexHasNulls, INDEX_NULL_MASK);
// IndexInfoFindDataOffset(), which is no macro any more.
SAME(pg::IndexDataOffset(0), MAXALIGN(sizeof(IndexTupleData)));
SAME(pg::IndexDataOffset(INDEX_NULL_MASK),
     MAXALIGN(sizeof(IndexTupleData) + sizeof(IndexAttributeBitMapData)));
SAME(pg::kIndexAltTid, INDEX_ALT_TID_MASK);
SAME(pg::kBtreePivotHasTid, BT_PIVOT_HEAP_TID_ATTR);
SAME(pg::kBtreePivotTidSize, MAXALIGN(sizeof(ItemPointerData)));
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
SAME(pg::hash::kPrev, offsetof(HashPageOpaqueData, hasho_prevblkno));
SAME(pg::hash::kNext, offsetof(HashPageOpaqueData, hasho_nextblkno));
SAME(pg::hash::kBucket, offsetof(HashPageOpaqueData, hasho_bucket));
SAME(pg::hash::kPageIdField, offsetof(HashPageOpaqueData, hasho_page_id));
SAME(pg::hash::kOverflowPage, LH_OVERFLOW_PAGE);
SAME(pg::hash::kBitmapPage, LH_BITMAP_PAGE);
SAME(pg::hash::kMetaPage, LH_META_PAGE);
SAME(pg::hash::kBeingPopulated, LH_BUCKET_BEING_POPULATED);
SAME(pg::hash::kBeingSplit, LH_BUCKET_BEING_SPLIT);
SAME(pg::hash::kNeedsSplitCleanup, LH_BUCKET_NEEDS_SPLIT_CLEANUP);
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
SAME(pg::spgist::kRedirections, offsetof(SpGistPageOpaqueData, nRedirection));
SAME(pg::spgist::kPlaceholders, offsetof(SpGistPageOpaqueData, nPlaceholder));
SAME(pg::spgist::kPageIdField, offsetof(SpGistPageOpaqueData, spgist_page_id));
SAME(pg::spgist::kMeta, SPGIST_META);
SAME(pg::spgist::kDeleted, SPGIST_DELETED);
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
SAME(pg::sequence::kLogCountAt, offsetof(FormData_pg_sequence_data, log_cnt));
SAME(pg::sequence::kTupleDataSize, offsetof(FormData_pg_sequence_data, is_called) + 1);

// What index pages have in the place of line pointers, and their tuples
#define META(table, name, type, field) SAME(pg::FieldOffset(pg::table, name), offsetof(type, field))
META(kBtreeMeta, "magic", BTMetaPageData, btm_magic);
META(kBtreeMeta, "version", BTMetaPageData, btm_version);
META(kBtreeMeta, "root", BTMetaPageData, btm_root);
META(kBtreeMeta, "level", BTMetaPageData, btm_level);
META(kBtreeMeta, "fastroot", BTMetaPageData, btm_fastroot);
META(kBtreeMeta, "fastlevel", BTMetaPageData, btm_fastlevel);
META(kBtreeMeta, "last_cleanup_num_delpages", BTMetaPageData, btm_last_cleanup_num_delpages);
META(kBtreeMeta, "last_cleanup_num_tuples", BTMetaPageData, btm_last_cleanup_num_heap_tuples);
META(kBtreeMeta, "allequalimage", BTMetaPageData, btm_allequalimage);
META(kHashMeta, "magic", HashMetaPageData, hashm_magic);
META(kHashMeta, "version", HashMetaPageData, hashm_version);
META(kHashMeta, "ntuples", HashMetaPageData, hashm_ntuples);
META(kHashMeta, "ffactor", HashMetaPageData, hashm_ffactor);
META(kHashMeta, "bsize", HashMetaPageData, hashm_bsize);
META(kHashMeta, "bmsize", HashMetaPageData, hashm_bmsize);
META(kHashMeta, "bmshift", HashMetaPageData, hashm_bmshift);
META(kHashMeta, "maxbucket", HashMetaPageData, hashm_maxbucket);
META(kHashMeta, "highmask", HashMetaPageData, hashm_highmask);
META(kHashMeta, "lowmask", HashMetaPageData, hashm_lowmask);
META(kHashMeta, "ovflpoint", HashMetaPageData, hashm_ovflpoint);
META(kHashMeta, "firstfree", HashMetaPageData, hashm_firstfree);
META(kHashMeta, "nmaps", HashMetaPageData, hashm_nmaps);
META(kHashMeta, "procid", HashMetaPageData, hashm_procid);
SAME(pg::hash::kMetaSparesAt, offsetof(HashMetaPageData, hashm_spares));
SAME(pg::hash::kMetaSpares, HASH_MAX_SPLITPOINTS);
SAME(pg::hash::kMetaMapsAt, offsetof(HashMetaPageData, hashm_mapp));
SAME(pg::hash::kMetaMaps, HASH_MAX_BITMAPS);
META(kGinMeta, "pending_head", GinMetaPageData, head);
META(kGinMeta, "pending_tail", GinMetaPageData, tail);
META(kGinMeta, "tail_free_size", GinMetaPageData, tailFreeSize);
META(kGinMeta, "n_pending_pages", GinMetaPageData, nPendingPages);
META(kGinMeta, "n_pending_tuples", GinMetaPageData, nPendingHeapTuples);
META(kGinMeta, "n_total_pages", GinMetaPageData, nTotalPages);
META(kGinMeta, "n_entry_pages", GinMetaPageData, nEntryPages);
META(kGinMeta, "n_data_pages", GinMetaPageData, nDataPages);
META(kGinMeta, "n_entries", GinMetaPageData, nEntries);
META(kGinMeta, "version", GinMetaPageData, ginVersion);
META(kBrinMeta, "magic", BrinMetaPageData, brinMagic);
META(kBrinMeta, "version", BrinMetaPageData, brinVersion);
META(kBrinMeta, "pagesperrange", BrinMetaPageData, pagesPerRange);
META(kBrinMeta, "lastrevmappage", BrinMetaPageData, lastRevmapPage);
SAME(pg::spgist::kCachedPages, SPGIST_CACHED_PAGES);
SAME(pg::spgist::kLeafHeaderSize, MAXALIGN(sizeof(SpGistLeafTupleData)));
SAME(pg::spgist::kLeafInfoAt, offsetof(SpGistLeafTupleData, t_info));
SAME(pg::spgist::kLeafTidAt, offsetof(SpGistLeafTupleData, heapPtr));
SAME(pg::spgist::kDeadXidAt, offsetof(SpGistDeadTupleData, xid));
SAME(pg::spgist::kInnerSizeAt, offsetof(SpGistInnerTupleData, size));
SAME(pg::spgist::kInnerHeaderSize, SGITHDRSZ);
SAME(pg::gin::kPostingTree, GIN_TREE_POSTING);
SAME(pg::gin::kCompressedTuple, GIN_ITUP_COMPRESSED);
SAME(pg::gin::kSegmentHeaderSize, offsetof(GinPostingList, bytes));
SAME(pg::gin::kPostingItemSize, sizeof(PostingItem));
SAME(pg::gin::kPostingItemKeyAt, offsetof(PostingItem, key));
SAME(kPageHeaderSize + pg::gin::kRightBoundSize,
     SizeOfPageHeaderData + MAXALIGN(sizeof(ItemPointerData)));
SAME(pg::brin::kTupleInfoAt, offsetof(BrinTuple, bt_info));
SAME(pg::brin::kTupleHeaderSize, SizeOfBrinTuple);
SAME(pg::brin::kDataOffsetMask, BRIN_OFFSET_MASK);
#ifdef BRIN_EMPTY_RANGE_MASK
SAME(pg::brin::kEmptyRange, BRIN_EMPTY_RANGE_MASK);
#endif
SAME(pg::brin::kPlaceholder, BRIN_PLACEHOLDER_MASK);
SAME(pg::brin::kTupleHasNulls, BRIN_NULLS_MASK);
SAME(pg::brin::kRevmapItems, REVMAP_PAGE_MAXITEMS);

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

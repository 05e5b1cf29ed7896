// The special area at the end of a page, by access method: its size, the offsets of its fields in
// it, its flags, and the word at its end that tells pages of access methods apart.
#ifndef NEON_REDO_PG_SPECIAL_AREA_H_
#define NEON_REDO_PG_SPECIAL_AREA_H_

#include <cstddef>
#include <cstdint>

#include "neon_redo/block.h"

namespace neon_redo::pg {

// A special area of this size at the end of the page, where all access methods have theirs.
inline uint8_t* SpecialArea(uint8_t* page, uint32_t size) { return page + kBlockSize - size; }
inline constexpr size_t kPageIdAt = kBlockSize - 2;  // the word at the end of the page

// BTPageOpaqueData (access/nbtree.h)
namespace btree {
inline constexpr uint32_t kSpecialSize = 16;
inline constexpr size_t kPrev = 0, kNext = 4, kLevel = 8, kFlags = 12, kCycleId = 14;
// BTP_*
inline constexpr uint16_t kLeaf = 0x01, kRoot = 0x02, kDeleted = 0x04, kMeta = 0x08,
                          kHalfDead = 0x10, kSplitEnd = 0x20, kHasGarbage = 0x40,
                          kIncompleteSplit = 0x80, kHasFullXid = 0x100;
inline constexpr uint16_t kMaxCycleId = 0xff7f;  // MAX_BT_CYCLE_ID: at the end of the page
}  // namespace btree

// HashPageOpaqueData (access/hash.h)
namespace hash {
inline constexpr uint32_t kSpecialSize = 16;
inline constexpr size_t kPrev = 0, kNext = 4, kBucket = 8, kFlags = 12, kPageIdField = 14;
// LH_*
inline constexpr uint16_t kOverflowPage = 0x01, kBucketPage = 0x02, kBitmapPage = 0x04,
                          kMetaPage = 0x08, kPageTypes = 0x0f, kBeingPopulated = 0x10,
                          kBeingSplit = 0x20, kNeedsSplitCleanup = 0x40, kHasDeadTuples = 0x80;
inline constexpr uint16_t kPageId = 0xff80;   // HASHO_PAGE_ID
inline constexpr size_t kMetaTupleCount = 8;  // hashm_ntuples, a double, in HashMetaPageData
}  // namespace hash

// GinPageOpaqueData (access/ginblock.h)
namespace gin {
inline constexpr uint32_t kSpecialSize = 8;
inline constexpr size_t kRightLink = 0, kMaxOffset = 4, kFlags = 6;
// GIN_*
inline constexpr uint16_t kData = 0x01, kLeaf = 0x02, kDeleted = 0x04, kMeta = 0x08, kList = 0x10,
                          kListFullRow = 0x20, kIncompleteSplit = 0x40, kCompressed = 0x80;
inline constexpr uint16_t kAllFlags = 0xff;
inline constexpr uint32_t kMetaSize = 56;  // GinMetaPageData
}  // namespace gin

// GISTPageOpaqueData (access/gist.h)
namespace gist {
inline constexpr uint32_t kSpecialSize = 16;
inline constexpr size_t kNsn = 0, kRightLink = 8, kFlags = 12, kPageIdField = 14;
// F_*
inline constexpr uint16_t kLeaf = 0x01, kDeleted = 0x02, kTuplesDeleted = 0x04, kFollowRight = 0x08,
                          kHasGarbage = 0x10;
inline constexpr uint16_t kPageId = 0xff81;  // GIST_PAGE_ID
}  // namespace gist

// SpGistPageOpaqueData (access/spgist_private.h)
namespace spgist {
inline constexpr uint32_t kSpecialSize = 8;
inline constexpr size_t kFlags = 0, kRedirections = 2, kPlaceholders = 4, kPageIdField = 6;
inline constexpr uint16_t kMeta = 0x01, kDeleted = 0x02, kLeafPage = 0x04,
                          kNullsPage = 0x08;  // SPGIST_*
inline constexpr uint16_t kPageId = 0xff82;   // SPGIST_PAGE_ID
// SpGistMetaPageData, after the page header: the magic number, then the cache of pages with room.
inline constexpr uint32_t kMetaMagic = 0xba0babee;  // SPGIST_MAGIC_NUMBER
inline constexpr size_t kLastUsedPagesAt = 4;
inline constexpr size_t kLastUsedPagesSize = 8 * (4 + 4);  // SpGistLUPCache
}  // namespace spgist

// BrinSpecialSpace (access/brin_page.h): flags and page type are its last two words.
namespace brin {
inline constexpr uint32_t kSpecialSize = 8;
inline constexpr size_t kFlags = 4, kType = 6;
inline constexpr uint16_t kEvacuate = 0x01;  // BRIN_EVACUATE_PAGE
inline constexpr uint16_t kMetaPage = 0xf091, kRevmapPage = 0xf092,
                          kRegularPage = 0xf093;    // BRIN_PAGETYPE_*
inline constexpr uint32_t kMetaMagic = 0xa8109cfa;  // BRIN_META_MAGIC
inline constexpr uint32_t kMetaSize = 16;           // BrinMetaPageData
}  // namespace brin

// sequence_magic in commands/sequence.c: the special area is that word, filled up to eight bytes.
namespace sequence {
inline constexpr uint32_t kSpecialSize = 8;
inline constexpr uint32_t kMagic = 0x1717;  // SEQ_MAGIC
// FormData_pg_sequence_data: the last value, log_cnt, is_called
inline constexpr size_t kLogCountAt = 8, kIsCalledAt = 16;
inline constexpr size_t kTupleDataSize = kIsCalledAt + 1;
inline constexpr int64_t kLoggedCalls = 32;  // SEQ_LOG_VALS in commands/sequence.c
}  // namespace sequence

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_SPECIAL_AREA_H_

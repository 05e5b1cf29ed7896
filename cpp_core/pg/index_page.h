// What pages of indexes have after their header, by access method: metapages, posting lists, tuples that
// are no ordinary index tuples.
#ifndef NEON_REDO_PG_INDEX_PAGE_H_
#define NEON_REDO_PG_INDEX_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/special_area.h"

namespace neon_redo::pg {

// A field of a metapage, by its offset from the end of the page header. Names are those of pageinspect.
struct MetaField {
  enum Type : uint8_t { kUint16, kUint32, kBlock, kInt64, kDouble, kBool };
  const char* name;
  uint16_t offset;
  Type type;

  constexpr uint32_t size() const {
    return type == kBool ? 1 : type == kUint16 ? 2 : type == kInt64 || type == kDouble ? 8 : 4;
  }
};

constexpr size_t FieldOffset(std::span<const MetaField> fields, std::string_view name) {
  for (const MetaField& field : fields)
    if (field.name == name) return field.offset;
  return SIZE_MAX;
}

// BTMetaPageData (access/nbtree.h)
inline constexpr MetaField kBtreeMeta[] = {
    {"magic", 0, MetaField::kUint32},
    {"version", 4, MetaField::kUint32},
    {"root", 8, MetaField::kBlock},
    {"level", 12, MetaField::kUint32},
    {"fastroot", 16, MetaField::kBlock},
    {"fastlevel", 20, MetaField::kUint32},
    {"last_cleanup_num_delpages", 24, MetaField::kUint32},
    {"last_cleanup_num_tuples", 32, MetaField::kDouble},
    {"allequalimage", 40, MetaField::kBool},
};

// HashMetaPageData (access/hash.h) up to its arrays
inline constexpr MetaField kHashMeta[] = {
    {"magic", 0, MetaField::kUint32},      {"version", 4, MetaField::kUint32},
    {"ntuples", 8, MetaField::kDouble},    {"ffactor", 16, MetaField::kUint16},
    {"bsize", 18, MetaField::kUint16},     {"bmsize", 20, MetaField::kUint16},
    {"bmshift", 22, MetaField::kUint16},   {"maxbucket", 24, MetaField::kUint32},
    {"highmask", 28, MetaField::kUint32},  {"lowmask", 32, MetaField::kUint32},
    {"ovflpoint", 36, MetaField::kUint32}, {"firstfree", 40, MetaField::kUint32},
    {"nmaps", 44, MetaField::kUint32},     {"procid", 48, MetaField::kUint32},
};
namespace hash {
inline constexpr size_t kMetaSparesAt = 52;
inline constexpr uint32_t kMetaSpares = 98;  // HASH_MAX_SPLITPOINTS
inline constexpr size_t kMetaMapsAt = kMetaSparesAt + 4 * kMetaSpares;
inline constexpr uint32_t kMetaMaps = 1024;  // HASH_MAX_BITMAPS
}  // namespace hash

// GinMetaPageData (access/ginblock.h)
inline constexpr MetaField kGinMeta[] = {
    {"pending_head", 0, MetaField::kBlock},      {"pending_tail", 4, MetaField::kBlock},
    {"tail_free_size", 8, MetaField::kUint32},   {"n_pending_pages", 12, MetaField::kUint32},
    {"n_pending_tuples", 16, MetaField::kInt64}, {"n_total_pages", 24, MetaField::kUint32},
    {"n_entry_pages", 28, MetaField::kUint32},   {"n_data_pages", 32, MetaField::kUint32},
    {"n_entries", 40, MetaField::kInt64},        {"version", 48, MetaField::kUint32},
};

// BrinMetaPageData (access/brin_page.h)
inline constexpr MetaField kBrinMeta[] = {
    {"magic", 0, MetaField::kUint32},
    {"version", 4, MetaField::kUint32},
    {"pagesperrange", 8, MetaField::kUint32},
    {"lastrevmappage", 12, MetaField::kBlock},
};

namespace gin {
// An entry's tuple keeps a count in t_tid's offset number, and where its posting list begins in the
// block number; or this in the offset number, and the root of a posting tree (access/ginblock.h).
inline constexpr uint16_t kPostingTree = 0xffff;        // GIN_TREE_POSTING
inline constexpr uint32_t kCompressedTuple = 1u << 31;  // GIN_ITUP_COMPRESSED, in the block number
// GinPostingList: the first address, the number of bytes, the bytes; the next begins at an even address.
inline constexpr uint32_t kSegmentHeaderSize = 8;
inline constexpr uint32_t kOffsetBits = 11;   // MaxHeapTuplesPerPageBits in ginpostinglist.c
inline constexpr uint32_t kMostVarbytes = 7;  // MaxBytesPerInteger in ginpostinglist.c
// Pages of a posting tree: the right bound, then segments, or so many PostingItems.
inline constexpr uint32_t kRightBoundSize = 8;
inline constexpr uint32_t kPostingItemSize = 10, kPostingItemKeyAt = 4;
}  // namespace gin

namespace spgist {
// The state is the lowest two bits of each tuple: SPGIST_LIVE and so on (access/spgist_private.h).
inline constexpr const char* kTupleStates[] = {"live", "redirect", "dead", "placeholder"};
// SpGistLeafTupleData: size and state, nextOffset and a flag, the heap's address. SpGistDeadTupleData has
// the same front, and a transaction.
inline constexpr uint32_t kLeafHeaderSize = 16;
inline constexpr size_t kLeafInfoAt = 4, kLeafTidAt = 6, kDeadXidAt = 12;
inline constexpr uint16_t kNextOffsetMask = 0x3fff, kLeafHasNulls = 0x8000;
// SpGistInnerTupleData: state, allTheSame, 13 bits of nNodes, 16 of prefixSize; size. Nodes have the
// header of index tuples.
inline constexpr uint32_t kInnerHeaderSize = 8;
inline constexpr size_t kInnerSizeAt = 4;
inline constexpr uint32_t kCachedPages = 8;  // SPGIST_CACHED_PAGES, of two words each
}  // namespace spgist

namespace brin {
// BrinTuple (access/brin_tuple.h): the heap block, and bt_info.
inline constexpr size_t kTupleInfoAt = 4;
inline constexpr uint32_t kTupleHeaderSize = 5;
inline constexpr uint8_t kDataOffsetMask = 0x1f, kEmptyRange = 0x20, kPlaceholder = 0x40,
                         kTupleHasNulls = 0x80;
// A page of the range map is an array of addresses.
inline constexpr uint32_t kRevmapItems =
    (kBlockSize - kPageHeaderSize - kSpecialSize) / kItemPointerSize;  // REVMAP_PAGE_MAXITEMS
}  // namespace brin

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_INDEX_PAGE_H_

// The header of a page, its line pointers and its checksum (storage/bufpage.h, storage/itemid.h).
//
// A page is kBlockSize bytes from outside: every accessor gives what the bytes say, and nothing is
// to be believed before a check such as has_valid_space(). Fields are read and written by memcpy,
// so a page may stand at any address. All functions are thread-safe; none allocates.
#ifndef NEON_REDO_PG_PAGE_H_
#define NEON_REDO_PG_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

inline constexpr size_t kPageHeaderSize = 24;     // SizeOfPageHeaderData
inline constexpr uint8_t kPageLayoutVersion = 4;  // PG_PAGE_LAYOUT_VERSION
inline constexpr uint16_t kPageSizeAndVersion = kBlockSize | kPageLayoutVersion;
inline constexpr size_t kLinePointerSize = 4;  // sizeof(ItemIdData)

// Offsets of PageHeaderData's fields. pd_lsn is at 0: its high half, then its low half.
inline constexpr size_t kPageChecksumAt = 8;
inline constexpr size_t kPageFlagsAt = 10;
inline constexpr size_t kPageLowerAt = 12;
inline constexpr size_t kPageUpperAt = 14;
inline constexpr size_t kPageSpecialAt = 16;
inline constexpr size_t kPageSizeAndVersionAt = 18;
inline constexpr size_t kPagePruneXidAt = 20;

// pd_flags
inline constexpr uint16_t kPdHasFreeLines = 0x0001;
inline constexpr uint16_t kPdPageFull = 0x0002;
inline constexpr uint16_t kPdAllVisible = 0x0004;

// lp_flags
inline constexpr uint32_t kLpUnused = 0;
inline constexpr uint32_t kLpNormal = 1;
inline constexpr uint32_t kLpRedirect = 2;
inline constexpr uint32_t kLpDead = 3;

// One line pointer (ItemIdData): 15 bits of offset, 2 of flags, 15 of length.
struct LinePointer {
  uint32_t bits;
  uint32_t offset() const { return bits & 0x7fff; }
  uint32_t flags() const { return bits >> 15 & 3; }
  uint32_t length() const { return bits >> 17; }
  static constexpr LinePointer Of(uint32_t offset, uint32_t flags, uint32_t length) {
    return {offset | flags << 15 | length << 17};
  }
};
inline constexpr uint32_t kLinePointerFlagBits = uint32_t{3} << 15;

// Fields of a page, by plain functions: for code that changes pages.
namespace pg {

inline uint16_t Get16(const uint8_t* p) { return LoadNative<uint16_t>(p); }
inline uint32_t Get32(const uint8_t* p) { return LoadNative<uint32_t>(p); }
inline uint64_t Get64(const uint8_t* p) { return LoadNative<uint64_t>(p); }
inline void Put16(uint8_t* p, uint32_t v) {
  const auto n = static_cast<uint16_t>(v);
  std::memcpy(p, &n, sizeof(n));
}
inline void Put32(uint8_t* p, uint32_t v) { std::memcpy(p, &v, sizeof(v)); }
inline void Put64(uint8_t* p, uint64_t v) { std::memcpy(p, &v, sizeof(v)); }

inline uint16_t Checksum(const uint8_t* page) { return Get16(page + kPageChecksumAt); }
inline void SetChecksum(uint8_t* page, uint16_t v) { Put16(page + kPageChecksumAt, v); }
inline uint32_t Lower(const uint8_t* page) { return Get16(page + kPageLowerAt); }
inline uint32_t Upper(const uint8_t* page) { return Get16(page + kPageUpperAt); }
inline uint32_t Special(const uint8_t* page) { return Get16(page + kPageSpecialAt); }
inline void SetLower(uint8_t* page, uint32_t v) { Put16(page + kPageLowerAt, v); }
inline void SetUpper(uint8_t* page, uint32_t v) { Put16(page + kPageUpperAt, v); }
inline void SetSpecial(uint8_t* page, uint32_t v) { Put16(page + kPageSpecialAt, v); }
inline uint16_t Flags(const uint8_t* page) { return Get16(page + kPageFlagsAt); }
inline void SetFlags(uint8_t* page, uint16_t set) { Put16(page + kPageFlagsAt, Flags(page) | set); }
inline void ClearFlags(uint8_t* page, uint16_t clear) {
  Put16(page + kPageFlagsAt, Flags(page) & ~clear);
}
inline uint16_t SizeAndVersion(const uint8_t* page) { return Get16(page + kPageSizeAndVersionAt); }
inline void SetSizeAndVersion(uint8_t* page, uint16_t v) { Put16(page + kPageSizeAndVersionAt, v); }
inline uint32_t PruneXid(const uint8_t* page) { return Get32(page + kPagePruneXidAt); }
inline void SetPruneXid(uint8_t* page, uint32_t v) { Put32(page + kPagePruneXidAt, v); }
inline uint64_t PageLsn(const uint8_t* page) {
  return uint64_t{Get32(page)} << 32 | Get32(page + 4);
}

// Never initialised (PageIsNew): PostgreSQL goes by pd_upper alone.
inline bool IsNew(const uint8_t* page) { return Upper(page) == 0; }

// Where the line pointer with this number, from 1 on, stands.
constexpr size_t LinePointerOffset(uint32_t number) {
  return kPageHeaderSize + kLinePointerSize * (size_t{number} - 1);
}

// A block number as BlockIdData stores it, and an item's address (ItemPointerData): the high half
// first.
inline constexpr uint32_t kItemPointerSize = 6;
inline uint32_t GetBlockNumber(const uint8_t* p) { return uint32_t{Get16(p)} << 16 | Get16(p + 2); }
inline void PutBlockNumber(uint8_t* p, uint32_t block) {
  Put16(p, block >> 16);
  Put16(p + 2, block & 0xffff);
}
inline void PutItemPointer(uint8_t* p, uint32_t block, uint16_t offset) {
  PutBlockNumber(p, block);
  Put16(p + 4, offset);
}

}  // namespace pg

// Reads a page it does not own.
class PageView {
 public:
  explicit PageView(const uint8_t* page) : p_(page) {}

  Lsn lsn() const { return Lsn(pg::PageLsn(p_)); }
  uint16_t checksum() const { return pg::Checksum(p_); }
  uint16_t flags() const { return pg::Flags(p_); }
  uint16_t lower() const { return static_cast<uint16_t>(pg::Lower(p_)); }
  uint16_t upper() const { return static_cast<uint16_t>(pg::Upper(p_)); }
  uint16_t special() const { return static_cast<uint16_t>(pg::Special(p_)); }
  uint16_t page_size() const { return pg::SizeAndVersion(p_) & 0xff00; }
  uint8_t layout_version() const { return pg::SizeAndVersion(p_) & 0x00ff; }
  bool is_new() const { return pg::IsNew(p_); }

  // The free space lies inside the page and before the special area.
  bool has_valid_space() const {
    return lower() >= kPageHeaderSize && lower() <= upper() && upper() <= special() &&
           special() <= kBlockSize;
  }

  // How many line pointers pd_lower makes room for; at most 16377 whatever pd_lower says.
  uint32_t line_pointer_count() const {
    return lower() <= kPageHeaderSize
               ? 0
               : static_cast<uint32_t>((lower() - kPageHeaderSize) / kLinePointerSize);
  }

  // number counts from 1. False when the line pointer would stand outside the page.
  bool line_pointer(uint32_t number, LinePointer* out) const {
    const size_t at = pg::LinePointerOffset(number);
    if (number == 0 || at + kLinePointerSize > kBlockSize) return false;
    out->bits = pg::Get32(p_ + at);
    return true;
  }

 private:
  const uint8_t* p_;
};

inline void SetPageLsn(uint8_t* page, Lsn lsn) {
  const uint32_t halves[2] = {static_cast<uint32_t>(lsn.value >> 32),
                              static_cast<uint32_t>(lsn.value)};
  std::memcpy(page, halves, sizeof(halves));
}

// The checksum that pd_checksum of an initialised page must hold on a cluster with data checksums.
// The block number is the one in the fork, over all segments (pg_checksum_page).
uint16_t PageChecksum(const uint8_t* page, uint32_t block);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_PAGE_H_

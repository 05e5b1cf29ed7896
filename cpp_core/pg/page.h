// The header of a page, its line pointers and its checksum (storage/bufpage.h, storage/itemid.h).
//
// A page is 8192 bytes that somebody else wrote: every field is what the bytes say, nothing is
// believed until IsValid has looked at it. Fields are read and written by memcpy, so a page may
// stand at any address. All functions are thread-safe; none allocates.
#ifndef NEON_REDO_PG_PAGE_H_
#define NEON_REDO_PG_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

inline constexpr size_t kPageHeaderSize = 24;  // SizeOfPageHeaderData

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
};

// Reads a page it does not own.
class PageView {
 public:
  explicit PageView(const uint8_t* page) : p_(page) {}

  Lsn lsn() const { return Lsn(uint64_t{Load<uint32_t>(0)} << 32 | Load<uint32_t>(4)); }
  uint16_t checksum() const { return Load<uint16_t>(8); }
  uint16_t flags() const { return Load<uint16_t>(10); }
  uint16_t lower() const { return Load<uint16_t>(12); }
  uint16_t upper() const { return Load<uint16_t>(14); }
  uint16_t special() const { return Load<uint16_t>(16); }
  uint16_t page_size() const { return Load<uint16_t>(18) & 0xff00; }
  uint8_t layout_version() const { return Load<uint16_t>(18) & 0x00ff; }

  // Never initialised (PageIsNew): PostgreSQL tells by pd_upper alone.
  bool is_new() const { return upper() == 0; }

  // The free space lies inside the page and before the special area.
  bool has_valid_space() const {
    return lower() >= kPageHeaderSize && lower() <= upper() && upper() <= special() &&
           special() <= kBlockSize;
  }

  // How many line pointers pd_lower makes room for; at most 16377 whatever pd_lower says.
  uint32_t line_pointer_count() const {
    return lower() <= kPageHeaderSize ? 0 : (lower() - kPageHeaderSize) / 4;
  }

  // number counts from 1. False when the line pointer would stand outside the page.
  bool line_pointer(uint32_t number, LinePointer* out) const {
    const size_t at = kPageHeaderSize + 4 * (size_t{number} - 1);
    if (number == 0 || at + 4 > kBlockSize) return false;
    out->bits = Load<uint32_t>(at);
    return true;
  }

 private:
  template <typename T>
  T Load(size_t at) const {
    return LoadNative<T>(p_ + at);
  }
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

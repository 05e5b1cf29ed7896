// The header of a WAL page, and what differs between PostgreSQL versions (access/xlog_internal.h).
#ifndef NEON_REDO_PG_WAL_PAGE_H_
#define NEON_REDO_PG_WAL_PAGE_H_

#include <cstddef>
#include <cstdint>

namespace neon_redo {

inline constexpr size_t kWalPageSize = 8192;  // XLOG_BLCKSZ of every packaged build
inline constexpr uint64_t kWalPageMask = kWalPageSize - 1;

// One row a PostgreSQL version that can be read. The magic number of its pages tells them apart.
struct WalVersion {
  uint16_t magic;  // XLOG_PAGE_MAGIC
  int major;
};
inline constexpr WalVersion kWalVersions[] = {
    {0xD110, 15},
};

// Null when no supported version writes this magic number.
inline constexpr const WalVersion* FindWalVersion(uint16_t magic) {
  for (const WalVersion& v : kWalVersions) {
    if (v.magic == magic) return &v;
  }
  return nullptr;
}

// XLogPageHeaderData, without its padding.
struct WalPageHeader {
  uint16_t magic;
  uint16_t info;  // kPage…
  uint32_t timeline;
  uint64_t address;    // LSN of the page's first byte
  uint32_t remaining;  // xlp_rem_len: bytes of the record continued from the page before
};

// The part that XLogLongPageHeaderData adds, at offset kShortPageHeaderSize.
struct WalLongPageHeader {
  uint64_t system_identifier;
  uint32_t segment_size;
  uint32_t page_size;
};

inline constexpr size_t kShortPageHeaderSize = 24;  // SizeOfXLogShortPHD
inline constexpr size_t kLongPageHeaderSize = 40;   // SizeOfXLogLongPHD
static_assert(sizeof(WalPageHeader) == kShortPageHeaderSize);
static_assert(sizeof(WalLongPageHeader) == kLongPageHeaderSize - kShortPageHeaderSize);

// XLP_*
inline constexpr uint16_t kPageFirstIsContrecord = 0x0001;
inline constexpr uint16_t kPageLongHeader = 0x0002;
inline constexpr uint16_t kPageBackupRemovable = 0x0004;
inline constexpr uint16_t kPageFirstIsOverwriteContrecord = 0x0008;
inline constexpr uint16_t kPageAllFlags = 0x000f;

inline constexpr size_t PageHeaderSize(uint16_t info) {
  return info & kPageLongHeader ? kLongPageHeaderSize : kShortPageHeaderSize;
}

// MAXALIGN
inline constexpr uint64_t MaxAlign(uint64_t n) { return (n + 7) & ~uint64_t{7}; }

}  // namespace neon_redo

#endif  // NEON_REDO_PG_WAL_PAGE_H_

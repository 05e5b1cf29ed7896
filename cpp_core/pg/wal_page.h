// The headers of WAL pages and segments (access/xlog_internal.h), and their checks. The layout is
// the same in all versions; the magic number tells the versions apart (pg/version.h).
#ifndef NEON_REDO_PG_WAL_PAGE_H_
#define NEON_REDO_PG_WAL_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

inline constexpr size_t kWalPageSize = 8192;  // XLOG_BLCKSZ of every packaged build
inline constexpr uint64_t kWalPageMask = kWalPageSize - 1;

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
inline constexpr uint16_t kPageBackupRemovable = 0x0004;  // another flag since 19: pg/version.h

inline constexpr size_t PageHeaderSize(uint16_t info) {
  return info & kPageLongHeader ? kLongPageHeaderSize : kShortPageHeaderSize;
}

// MAXALIGN
inline constexpr uint64_t MaxAlign(uint64_t n) { return (n + 7) & ~uint64_t{7}; }

// IsValidWalSegSize: a power of two, 1 MB to 1 GB.
constexpr bool IsValidSegmentSize(uint64_t size) {
  return size >= 1024 * 1024 && size <= 1024 * 1024 * 1024 && (size & (size - 1)) == 0;
}

// The page that a header must be of.
struct WalPagePlace {
  Lsn lsn;                // of the page's first byte
  uint32_t segment_size;  // a power of two
  uint16_t magic = 0;     // 0: that of any supported version
  uint32_t min_timeline = 0;
  uint32_t max_timeline = UINT32_MAX;
};

// What is wrong with a header, in the order of the checks.
enum class WalPageFault : uint8_t {
  kNone,
  kUnknownMagic,      // no supported version writes it
  kOtherVersion,      // a supported version, but not the one of this WAL
  kFlags,             // a flag that no version has
  kHeaderKind,        // the long header where the short one must be, or the reverse
  kEarlierTimeline,   // below min_timeline
  kLaterTimeline,     // above max_timeline
  kOlderPage,         // a page's address below the one due: what recycled segments hold
  kAddress,           // any other address
  kSystemIdentifier,  // of a long header: another cluster
  kSegmentSize,
  kPageSize,
};

// Checks a header without the long header's own fields.
WalPageFault CheckWalPageHeader(const WalPageHeader& header, const WalPagePlace& place);

// Checks the fields of a long header that the short one lacks.
constexpr WalPageFault CheckWalLongPageHeader(const WalLongPageHeader& header,
                                              uint64_t system_identifier, uint32_t segment_size) {
  if (header.system_identifier != system_identifier) return WalPageFault::kSystemIdentifier;
  if (header.segment_size != segment_size) return WalPageFault::kSegmentSize;
  return header.page_size == kWalPageSize ? WalPageFault::kNone : WalPageFault::kPageSize;
}

// CheckWalPageHeader finds nothing in such a header, which most pages have: that of a page inside a
// segment, of this timeline. For loops where nanoseconds count.
inline bool IsPlainWalPage(const WalPageHeader& h, const WalPagePlace& place) {
  return h.magic == place.magic &&
         (h.info & ~(kPageFirstIsContrecord | kPageBackupRemovable)) == 0 &&
         h.timeline == place.min_timeline && h.address == place.lsn.value &&
         (place.lsn.value & (place.segment_size - 1)) != 0;
}

// "wrong page magic", "the page is of older WAL", ….
const char* WalPageFaultText(WalPageFault fault);

// "magic D110, flags 0000, timeline 1, address 0/3000000"
std::string DescribeWalPageHeader(const WalPageHeader& header);

// Both headers at the start of a segment.
struct WalSegmentHead {
  WalPageHeader page;
  WalLongPageHeader segment;

  // False: fewer than kLongPageHeaderSize bytes. The content is not looked at.
  [[nodiscard]] bool Load(Bytes bytes);
  // A segment's first page of any supported version and any cluster.
  bool IsOfAnySegment() const;
};

}  // namespace neon_redo

#endif  // NEON_REDO_PG_WAL_PAGE_H_

#include "cpp_core/pg/wal_page.h"

#include <fmt/format.h>

#include "cpp_core/pg/version.h"

namespace neon_redo {

WalPageFault CheckWalPageHeader(const WalPageHeader& h, const WalPagePlace& place) {
  const uint64_t address = place.lsn.value;
  const bool is_first = (address & (place.segment_size - 1)) == 0;
  const pg::Version* version = pg::FindVersionByWalMagic(h.magic);
  if (version == nullptr) return WalPageFault::kUnknownMagic;
  if (place.magic != 0 && h.magic != place.magic) return WalPageFault::kOtherVersion;
  if ((h.info & ~version->wal_page_flags) != 0) return WalPageFault::kFlags;
  if (is_first != ((h.info & kPageLongHeader) != 0)) return WalPageFault::kHeaderKind;
  if (h.timeline < place.min_timeline) return WalPageFault::kEarlierTimeline;
  if (h.timeline > place.max_timeline) return WalPageFault::kLaterTimeline;
  if (h.address == address) return WalPageFault::kNone;
  return h.address < address && h.address % kWalPageSize == 0 ? WalPageFault::kOlderPage
                                                              : WalPageFault::kAddress;
}

const char* WalPageFaultText(WalPageFault fault) {
  switch (fault) {
    case WalPageFault::kNone:
      return "the page header is right";
    case WalPageFault::kUnknownMagic:
      return "wrong page magic";
    case WalPageFault::kOtherVersion:
      return "the page is of another PostgreSQL version";
    case WalPageFault::kFlags:
      return "wrong page flags";
    case WalPageFault::kHeaderKind:
      return "wrong kind of page header";
    case WalPageFault::kEarlierTimeline:
      return "the page is of an earlier timeline";
    case WalPageFault::kLaterTimeline:
      return "the page is of a later timeline than the file";
    case WalPageFault::kOlderPage:
      return "the page is of older WAL";
    case WalPageFault::kAddress:
      return "wrong page address";
    case WalPageFault::kSystemIdentifier:
      return "the page is of another cluster";
    case WalPageFault::kSegmentSize:
      return "wrong segment size";
    case WalPageFault::kPageSize:
      return "wrong WAL page size";
  }
  return "wrong page header";
}

std::string DescribeWalPageHeader(const WalPageHeader& h) {
  return fmt::format("magic {:04X}, flags {:04X}, timeline {}, address {}", h.magic, h.info,
                     h.timeline, Lsn(h.address).ToString());
}

bool WalSegmentHead::Load(Bytes bytes) {
  ByteReader in(bytes);
  return in.Read(&page) && in.Read(&segment);
}

bool WalSegmentHead::IsOfAnySegment() const {
  return pg::FindVersionByWalMagic(page.magic) != nullptr && (page.info & kPageLongHeader) != 0 &&
         IsValidSegmentSize(segment.segment_size);
}

}  // namespace neon_redo

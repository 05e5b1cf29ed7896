#include "cpp_core/pg/slru.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

namespace neon_redo {

namespace {

// The entry that a page is compared by: its first one, or, where the first entries of the SLRU mean
// nothing, one after those (CLOGPagePrecedes and the like).
uint32_t ComparedEntry(SlruKind kind, uint32_t page) {
  const uint32_t first = page * SlruEntriesPerPage(kind);
  switch (kind) {
    case SlruKind::kClog:
    case SlruKind::kCommitTs:
      return first + kFirstNormalXid + 1;
    case SlruKind::kMultixactOffsets:
      return first + kFirstMultixact + 1;
    case SlruKind::kMultixactMembers:
      break;
  }
  return first;
}

bool PagePrecedes(SlruKind kind, uint32_t page, uint32_t cutoff) {
  const uint32_t a = ComparedEntry(kind, page);
  const uint32_t b = ComparedEntry(kind, cutoff);
  return PrecedesInCircle(a, b) && PrecedesInCircle(a, b + SlruEntriesPerPage(kind) - 1);
}

}  // namespace

void SetXactStatus(uint8_t* page, uint32_t xid, uint8_t status) {
  const uint32_t in_page = xid % kXactsPerClogPage;
  const uint32_t shift = XactShiftOf(in_page);
  uint8_t& byte = page[XactByteOf(in_page)];
  byte = static_cast<uint8_t>((byte & ~(kXactStatusMask << shift)) | status << shift);
}

void SetMultixactOffset(uint8_t* page, uint32_t multixact, uint32_t offset) {
  std::memcpy(page + multixact % kOffsetsPerPage * kOffsetEntrySize, &offset, kOffsetEntrySize);
}

void SetMultixactMember(uint8_t* page, uint32_t member, uint32_t xid, uint8_t status) {
  const uint32_t in_page = member % kMembersPerPage;
  page[MemberStatusAt(in_page)] = status;
  std::memcpy(page + MemberXidAt(in_page), &xid, sizeof(xid));
}

void SetCommitTimestamp(uint8_t* page, uint32_t xid, int64_t time, uint16_t origin) {
  uint8_t* entry = page + xid % kXactsPerCommitTsPage * kCommitTsEntrySize;
  std::memcpy(entry, &time, sizeof(time));
  std::memcpy(entry + sizeof(time), &origin, sizeof(origin));
}

bool SlruSegmentIsGone(SlruKind kind, uint32_t segment, uint32_t cutoff_page) {
  const uint32_t first = segment * kSlruPagesPerSegment;
  return PagePrecedes(kind, first, cutoff_page) &&
         PagePrecedes(kind, first + kSlruPagesPerSegment - 1, cutoff_page);
}

const char* SlruDirectory(SlruKind kind) {
  switch (kind) {
    case SlruKind::kClog:
      return "pg_xact";
    case SlruKind::kMultixactMembers:
      return "pg_multixact/members";
    case SlruKind::kMultixactOffsets:
      return "pg_multixact/offsets";
    case SlruKind::kCommitTs:
      return "pg_commit_ts";
  }
  return "?";
}

std::string SlruFile(SlruKind kind, uint32_t segment) {
  return fmt::format("{}/{:04X}", SlruDirectory(kind), segment);
}

std::optional<uint32_t> ParseSlruSegment(std::string_view name) {
  if (name.size() < 4 || name.size() > 6 ||
      name.find_first_not_of("0123456789ABCDEF") != std::string_view::npos)
    return std::nullopt;
  uint32_t segment = 0;
  std::from_chars(name.data(), name.data() + name.size(), segment, 16);
  return segment;
}

}  // namespace neon_redo

// Which page of an SLRU has which entry and where on it, which segments a truncation removes, and
// how the files are named (access/transam/slru.c, clog.c, multixact.c, commit_ts.c; 8 KiB blocks).
#ifndef NEON_REDO_PG_SLRU_H_
#define NEON_REDO_PG_SLRU_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cpp_core/pg/xid.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// pg_xact: two bits for each transaction.
inline constexpr uint32_t kXactsPerClogByte = 4;  // CLOG_XACTS_PER_BYTE
inline constexpr uint32_t kXactsPerClogPage =
    kBlockSize * kXactsPerClogByte;            // CLOG_XACTS_PER_PAGE
inline constexpr uint8_t kXactStatusMask = 3;  // CLOG_XACT_BITMASK
inline constexpr uint8_t kXactCommitted = 1;   // TRANSACTION_STATUS_COMMITTED
inline constexpr uint8_t kXactAborted = 2;     // TRANSACTION_STATUS_ABORTED

// pg_multixact/offsets: for each multixact the number of its first member.
inline constexpr uint32_t kOffsetEntrySize = 4;  // MultiXactOffset
inline constexpr uint32_t kOffsetsPerPage =
    kBlockSize / kOffsetEntrySize;  // MULTIXACT_OFFSETS_PER_PAGE

// pg_multixact/members: groups of four members, their four status bytes before their four
// transactions. Bytes at the end of a page that hold no whole group are unused.
inline constexpr uint32_t kMembersPerGroup = 4;
inline constexpr uint32_t kMemberGroupSize =
    kMembersPerGroup * (1 + 4);  // MULTIXACT_MEMBERGROUP_SIZE
inline constexpr uint32_t kMembersPerPage =
    kBlockSize / kMemberGroupSize * kMembersPerGroup;  // MULTIXACT_MEMBERS_PER_PAGE
inline constexpr uint32_t kMaxMemberStatus = 5;        // MultiXactStatusUpdate

// pg_commit_ts: for each transaction a timestamp and a replication origin.
inline constexpr uint32_t kCommitTsEntrySize = 10;  // SizeOfCommitTimestampEntry
inline constexpr uint32_t kXactsPerCommitTsPage = kBlockSize / kCommitTsEntrySize;

// What the numbers of a member's status are called (mxstatus_to_string in access/transam/multixact.c).
inline constexpr const char* kMemberStatusNames[kMaxMemberStatus + 1] = {
    "keysh", "sh", "fornokeyupd", "forupd", "nokeyupd", "upd"};
// And those of a transaction (access/clog.h). The last is of a subtransaction whose parent has not
// committed yet.
inline constexpr const char* kXactStatusNames[kXactStatusMask + 1] = {"in progress", "committed",
                                                                      "aborted", "sub-committed"};

// Entries (transactions, multixacts, members) on one page.
constexpr uint32_t SlruEntriesPerPage(SlruKind kind) {
  switch (kind) {
    case SlruKind::kClog:
      return kXactsPerClogPage;
    case SlruKind::kMultixactMembers:
      return kMembersPerPage;
    case SlruKind::kMultixactOffsets:
      return kOffsetsPerPage;
    case SlruKind::kCommitTs:
      return kXactsPerCommitTsPage;
  }
  return 1;
}

// The segment and block of a page, numbered from 0.
constexpr SlruBlock SlruBlockOfPage(SlruKind kind, uint32_t page) {
  return {kind, page / kSlruPagesPerSegment, page % kSlruPagesPerSegment};
}

// The block with this entry.
constexpr SlruBlock SlruBlockOfEntry(SlruKind kind, uint32_t entry) {
  return SlruBlockOfPage(kind, entry / SlruEntriesPerPage(kind));
}

// The key of the page that has this entry.
inline PageKey SlruKeyOfEntry(SlruKind kind, uint32_t entry) {
  return PageKey::OfSlruBlock(SlruBlockOfEntry(kind, entry));
}

// The functions below write an entry to its page, of kBlockSize bytes; which page that is, the
// caller has checked. status: kXactCommitted or kXactAborted (TransactionIdSetStatusBit).
void SetXactStatus(uint8_t* page, uint32_t xid, uint8_t status);
// RecordNewMultiXact
void SetMultixactOffset(uint8_t* page, uint32_t multixact, uint32_t offset);
// RecordNewMultiXact; status is at most kMaxMemberStatus.
void SetMultixactMember(uint8_t* page, uint32_t member, uint32_t xid, uint8_t status);
// TransactionIdSetCommitTs; time is a TimestampTz.
void SetCommitTimestamp(uint8_t* page, uint32_t xid, int64_t time, uint16_t origin);

// Where an entry of a page stands, counted from the page's first one.
constexpr uint32_t XactByteOf(uint32_t entry) { return entry / kXactsPerClogByte; }
constexpr uint32_t XactShiftOf(uint32_t entry) { return entry % kXactsPerClogByte * 2; }
constexpr uint32_t MemberStatusAt(uint32_t entry) {
  return entry / kMembersPerGroup * kMemberGroupSize + entry % kMembersPerGroup;
}
constexpr uint32_t MemberXidAt(uint32_t entry) {
  return entry / kMembersPerGroup * kMemberGroupSize + kMembersPerGroup +
         entry % kMembersPerGroup * 4;
}

// The segment with the last entry there can be; the next is segment 0 (multixact.c).
constexpr uint32_t LastSlruSegment(SlruKind kind) {
  return SlruBlockOfEntry(kind, 0xffffffffu).segment;
}

// Truncation before cutoff_page removes the segment: both its ends precede the page, in a circle
// (SlruMayDeleteSegment and the PagePrecedes functions).
bool SlruSegmentIsGone(SlruKind kind, uint32_t segment, uint32_t cutoff_page);

// The directory of an SLRU in a data directory, "pg_xact".
const char* SlruDirectory(SlruKind kind);
// Path of a segment below the data directory, "pg_xact/000A".
std::string SlruFile(SlruKind kind, uint32_t segment);
// From the name of a segment: four to six hexadecimal digits, upper-case (SlruScanDirectory).
// Nothing for any other name.
std::optional<uint32_t> ParseSlruSegment(std::string_view name);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_SLRU_H_

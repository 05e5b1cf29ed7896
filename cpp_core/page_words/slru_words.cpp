// Pages of SLRUs. Entries that are all zeroes have no part.
#include <fmt/format.h>

#include "cpp_core/describe/operation.h"
#include "cpp_core/page_words/page_scan.h"
#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

void AddXacts(PageScan* scan, uint32_t first) {
  for (uint32_t i = 0; i < kXactsPerClogPage; i++) {
    const uint8_t status = *scan->At(XactByteOf(i)) >> XactShiftOf(i) & kXactStatusMask;
    if (status == 0) continue;
    scan->Begin("transaction", first + i).merges = true;
    scan->Add("status", kXactStatusNames[status], XactByteOf(i), 1);
  }
}

void AddMultixactOffsets(PageScan* scan, uint32_t first) {
  for (uint32_t i = 0; i < kOffsetsPerPage; i++) {
    const size_t at = size_t{i} * kOffsetEntrySize;
    if (scan->Get32(at) == 0) continue;
    scan->Begin("multixact", first + i);
    scan->Add32("first_member", at);
  }
}

void AddMultixactMembers(PageScan* scan, uint32_t first) {
  for (uint32_t i = 0; i < kMembersPerPage; i++) {
    const uint8_t status = *scan->At(MemberStatusAt(i));
    if (status == 0 && scan->Get32(MemberXidAt(i)) == 0) continue;
    scan->Begin("member", first + i);
    scan->Add32("xid", MemberXidAt(i));
    scan->Add("mode",
              status <= kMaxMemberStatus ? std::string(kMemberStatusNames[status])
                                         : fmt::format("{}", status),
              MemberStatusAt(i), 1);
  }
}

void AddCommitTimestamps(PageScan* scan, uint32_t first) {
  for (uint32_t i = 0; i < kXactsPerCommitTsPage; i++) {
    const size_t at = size_t{i} * kCommitTsEntrySize;
    const auto time = static_cast<int64_t>(pg::Get64(scan->At(at)));
    const uint16_t origin = scan->Get16(at + 8);
    if (time == 0 && origin == 0) continue;
    scan->Begin("transaction", first + i);
    scan->Add("time", TimestampText(time), at, 8);
    scan->AddNumber("origin", origin, at + 8, 2);
  }
}

}  // namespace

void AddSlru(PageScan* scan, const SlruBlock& block) {
  // The last pages of a circle of numbers are never there; what they would have counts on from 0.
  const uint32_t page = block.segment * kSlruPagesPerSegment + block.block;
  const uint32_t first = page * SlruEntriesPerPage(block.kind);
  switch (block.kind) {
    case SlruKind::kClog:
      return AddXacts(scan, first);
    case SlruKind::kMultixactOffsets:
      return AddMultixactOffsets(scan, first);
    case SlruKind::kMultixactMembers:
      return AddMultixactMembers(scan, first);
    case SlruKind::kCommitTs:
      return AddCommitTimestamps(scan, first);
  }
}

}  // namespace neon_redo

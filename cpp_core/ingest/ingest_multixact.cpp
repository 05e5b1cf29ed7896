// Multixacts: where each one's members begin (pg_multixact/offsets) and who they are
// (pg_multixact/members), as RecordNewMultiXact of 15.16 and later writes them: with each multixact
// also where the next one's members begin. Older servers leave that to the next one; then it is
// written twice, with the same value.
#include "cpp_core/ingest/taker.h"
#include "cpp_core/pg/version.h"

namespace neon_redo {

bool Ingest::Taker::TakeMultiXact() {
  namespace multixact = layout::multixact;
  if (record_.version().multixact_offset_size != sizeof(multixact::Create::offset))
    return Wrong("the multixacts of its version are not read yet");
  switch (record_.info()) {
    case multixact::kZeroOffsetsPage: {
      uint32_t page;
      if (!ReadSlruPage(&page)) return false;
      // An older server's record for a page that the multixact before has begun already.
      const bool is_made = ingest_.early_offsets_page_ == page;
      ingest_.early_offsets_page_ = -1;
      if (is_made) return true;
      ingest_.last_offsets_page_ = page;
      return PushZeroPage(SlruKind::kMultixactOffsets);
    }
    case multixact::kZeroMembersPage:
      return PushZeroPage(SlruKind::kMultixactMembers);
    case multixact::kCreateId:
      return CreateMultiXact();
    case multixact::kTruncateId:
      return TruncateMultiXact();
    default:
      return true;
  }
}

bool Ingest::Taker::CreateMultiXact() {
  namespace multixact = layout::multixact;
  multixact::Create create;
  if (!Read(&create)) return false;
  Bytes members = record_.main_data().subspan(sizeof(create));
  const auto count = static_cast<uint32_t>(create.members);
  if (create.members < 0 || members.size() / sizeof(multixact::Member) < count) return TooShort();
  members = members.first(count * sizeof(multixact::Member));

  auto push_offset = [&](uint32_t id, uint32_t offset) {
    Change& change =
        Push(ChangeKind::kMultixactOffset, SlruKeyOfEntry(SlruKind::kMultixactOffsets, id));
    change.number = id;
    change.number2 = offset;
  };
  const uint32_t id = create.multixact;
  const uint32_t next = id + 1 < kFirstMultixact ? kFirstMultixact : id + 1;
  // 0 is no offset.
  const uint32_t end = create.offset + count == 0 ? 1 : create.offset + count;
  const uint32_t next_page = next / kOffsetsPerPage;
  ingest_.early_offsets_page_ = -1;
  if (next_page != id / kOffsetsPerPage && ingest_.last_offsets_page_ == id / kOffsetsPerPage) {
    Push(ChangeKind::kZeroSlruPage, SlruKeyOfEntry(SlruKind::kMultixactOffsets, next));
    ingest_.early_offsets_page_ = ingest_.last_offsets_page_ = next_page;
  }
  push_offset(id, create.offset);
  push_offset(next, end);

  // Members by page. Their numbers go round at 2^32, where the last page is not full.
  for (uint32_t done = 0; done < count;) {
    const uint32_t first = create.offset + done;
    const uint32_t on_page = kMembersPerPage - first % kMembersPerPage;
    uint32_t n = std::min(count - done, on_page);
    if (first + n < first) n = -first;
    Change& change =
        Push(ChangeKind::kMultixactMembers, SlruKeyOfEntry(SlruKind::kMultixactMembers, first));
    change.number = first;
    change.payload =
        members.subspan(done * sizeof(multixact::Member), n * sizeof(multixact::Member));
    done += n;
  }

  if (!PrecedesInCircle(next, state_.next_multixact)) state_.next_multixact = next;
  if (!PrecedesInCircle(end, state_.next_multixact_offset)) state_.next_multixact_offset = end;
  return true;
}

bool Ingest::Taker::TruncateMultiXact() {
  layout::multixact::Truncate cut;
  if (!Read(&cut)) return false;
  // PerformMembersTruncation, then PerformOffsetsTruncation, which steps back by one.
  Change& members = Push(ChangeKind::kDropSlruSegments,
                         PageKey::OfSlruBlock({SlruKind::kMultixactMembers, 0, 0}));
  members.number = cut.members_start / kMembersPerPage / kSlruPagesPerSegment;
  members.number2 = cut.members_end / kMembersPerPage / kSlruPagesPerSegment;
  const uint32_t before = cut.offsets_end == kFirstMultixact ? 0xffffffffu : cut.offsets_end - 1;
  PushTruncateSlru(SlruKind::kMultixactOffsets, before / kOffsetsPerPage);
  state_.oldest_multixact = cut.offsets_end;
  return true;
}

}  // namespace neon_redo

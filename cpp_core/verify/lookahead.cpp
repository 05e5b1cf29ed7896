// The record seen last gets the first step, the one kDistance before it the second, and so on: by
// then what the step before had fetched is there. So the walk is all steps' distance ahead of the
// record that is applied.
#include "cpp_core/verify/lookahead.h"

#include <algorithm>

#include "cpp_core/verify/distributor.h"
#include "cpp_core/wal/record.h"

namespace neon_redo {

bool Lookahead::FirstBlock(Bytes record, BlockTag* tag) {
  constexpr size_t kReference = kRecordHeaderSize;  // id, flags, data length; relation, block
  constexpr uint8_t kForkMask = 0x0f, kHasImage = 0x10;
  if (record.size() < kReference + 20) return false;
  const uint8_t* p = record.data() + kReference;
  if (p[0] != 0 || (p[1] & kHasImage) || (p[1] & kForkMask) > kMaxForkNumber) return false;
  tag->rel = LoadNative<RelFileNode>(p + 4);
  tag->fork = p[1] & kForkMask;
  tag->block = LoadNative<uint32_t>(p + 16);
  return true;
}

void Lookahead::See(Bytes record, Partition* partition) {
  const uint32_t slot = seen_ % kRing;
  named_[slot] = FirstBlock(record, &tags_[slot]);
  for (int step = 0; step < kPrefetchSteps; step++) {
    const uint32_t then = (seen_ - static_cast<uint32_t>(step) * kDistance) % kRing;
    if (named_[then]) partition->Prefetch(tags_[then], step);
  }
  seen_++;
}

void Lookahead::Walk(Bytes ahead, Partition* partition) {
  const uint8_t* const end = ahead.data() + ahead.size();
  const bool goes_on = at_ >= ahead.data() && at_ <= end;
  if (!goes_on) at_ = ahead.data();
  // One record for the one that is done; in new bytes as many as there are steps for.
  for (uint32_t n = goes_on ? 1 : (kPrefetchSteps - 1) * kDistance + 2; n > 0; n--) {
    if (at_ == nullptr || end - at_ < static_cast<ptrdiff_t>(kRecordHeaderSize)) return;
    const uint64_t length = LoadNative<uint32_t>(at_);
    const auto rest = static_cast<uint64_t>(end - at_);
    if (length < kRecordHeaderSize) return;
    See(Bytes(at_, length < rest ? length : rest), partition);
    at_ += std::min((length + 7) / 8 * 8, rest);
  }
}

}  // namespace neon_redo

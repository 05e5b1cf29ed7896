#include "cpp_core/verify/at_rest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/special_area.h"

namespace neon_redo {

namespace {

using namespace pg::tuple;
using Fate = CommitLog::Fate;
using Found = std::optional<Difference>;

constexpr uint16_t kHints = kXminFrozen | kXmaxCommitted | kXmaxInvalid;

bool IsNotCommitted(Fate fate) { return fate == Fate::kUndecided || fate == Fate::kAborted; }

// The tuple's deleter is one transaction.
bool HasDeleter(uint16_t infomask) { return !(infomask & kXmaxIsMulti) && !IsLockedOnly(infomask); }

// Hints say what became of a transaction (HeapTupleSatisfiesMVCC and others in
// access/heap/heapam_visibility.c). Null: the hints that only the page on disk has may be there.
const char* WrongHint(const uint8_t* tuple, uint16_t infomask, uint16_t added,
                      const AtRestContext& context) {
  const bool decided = context.decided;
  CommitLog* log = context.log;
  if (infomask & kMoved) return nullptr;  // of a server from before 9.0
  if ((added & kXminFrozen) && (infomask & kXminFrozen) != kXminFrozen) {
    const Fate fate = log->Of(pg::Get32(tuple + kXmin));
    if ((added & kXminInvalid) && fate == Fate::kCommitted)
      return "its insertion is marked as aborted, but pg_xact has it as committed";
    if ((added & kXminCommitted) && decided && IsNotCommitted(fate))
      return "its insertion is marked as committed, but pg_xact does not have it so";
  }
  if ((added & (kXmaxCommitted | kXmaxInvalid)) && HasDeleter(infomask)) {
    const Fate fate = log->Of(pg::Get32(tuple + kXmax));
    if ((added & kXmaxInvalid) && fate == Fate::kCommitted)
      return "its deletion is marked as aborted, but pg_xact has it as committed";
    if ((added & kXmaxCommitted) && decided && IsNotCommitted(fate))
      return "its deletion is marked as committed, but pg_xact does not have it so";
  }
  return nullptr;
}

// One tuple at the same place of both pages.
Found CompareTuple(const uint8_t* rebuilt, const uint8_t* disk, uint32_t at, uint32_t number,
                   const AtRestContext& context) {
  const uint16_t old_bits = pg::Get16(rebuilt + at + kInfomask);
  const uint16_t bits = pg::Get16(disk + at + kInfomask);
  const auto wrong = [&](size_t field, const char* why) {
    return Difference{at + static_cast<uint32_t>(field), false,
                      fmt::format("tuple {} of the page on disk is wrong: {}", number, why)};
  };
  if ((old_bits ^ bits) & ~(kHints | kComboCid))
    return wrong(kInfomask, "its flags are not those of the rebuilt page");
  if (const auto added = static_cast<uint16_t>(bits & ~old_bits & kHints); added != 0) {
    if (const char* why = WrongHint(disk + at, bits, added, context)) return wrong(kInfomask, why);
  }
  const bool is_speculative = pg::Get16(disk + at + kCtid + 4) == kSpeculativeToken &&
                              pg::Get16(rebuilt + at + kCtid + 4) != kSpeculativeToken;
  if (is_speculative && context.log->Of(pg::Get32(disk + at + kXmin)) == Fate::kCommitted)
    return wrong(kCtid, "its insertion is speculative, but pg_xact has it as committed");
  return std::nullopt;
}

// VACUUM sets the flag before it logs that, and without logged hints the page keeps its LSN. So a
// crash may leave the flag without its record (lazy_scan_heap in access/heap/vacuumlazy.c).
Found CompareHeap(const uint8_t* rebuilt, const uint8_t* disk, const AtRestContext& context) {
  const bool wanted = pg::Flags(rebuilt) & kPdAllVisible, has = pg::Flags(disk) & kPdAllVisible;
  if (wanted && !has)
    return Difference{kPageFlagsAt, true,
                      "the page on disk is stale: it lacks the all-visible flag that WAL sets (a "
                      "write was lost)"};
  if (has && !wanted && !context.may_be_ahead)
    return Difference{kPageFlagsAt, true,
                      "the page on disk is stale: it has the all-visible flag that WAL clears (a "
                      "write was lost)"};
  const PageView view(rebuilt);
  const uint32_t count = view.line_pointer_count();
  for (uint32_t number = 1; number <= count; number++) {
    LinePointer lp;
    if (!view.line_pointer(number, &lp)) break;
    const uint32_t at = lp.offset();
    if (lp.flags() != kLpNormal || at + kTupleHeaderSize > kBlockSize ||
        std::memcmp(rebuilt + at + kCtid, disk + at + kCtid, kHoff - kCtid) == 0)
      continue;
    if (auto found = CompareTuple(rebuilt, disk, at, number, context)) return found;
  }
  return std::nullopt;
}

// nextval() logs the value 32 calls ahead, and a page on disk has the value and how many calls are
// left (SEQ_LOG_VALS and nextval_internal in commands/sequence.c). So the values of both differ by
// the increment, which WAL does not have, times the difference of those counts.
struct SequenceState {
  int64_t value;
  int64_t calls_left;
  bool is_called;
};

bool ReadSequence(const uint8_t* page, uint32_t* at, SequenceState* out) {
  LinePointer lp;
  if (!PageView(page).line_pointer(1, &lp) || lp.offset() + kTupleHeaderSize > kBlockSize)
    return false;
  *at = lp.offset() + page[lp.offset() + kHoff];
  if (*at + pg::sequence::kTupleDataSize > kBlockSize) return false;
  *out = {LoadNative<int64_t>(page + *at), LoadNative<int64_t>(page + *at + 8),
          page[*at + 16] != 0};
  return true;
}

bool IsPossible(const SequenceState& logged, const SequenceState& now) {
  using pg::sequence::kLoggedCalls;
  if (!logged.is_called)
    return !now.is_called && now.value == logged.value && now.calls_left == logged.calls_left;
  if (!now.is_called || now.calls_left < 0 ||
      now.calls_left > std::max(kLoggedCalls, logged.calls_left))
    return false;
  const int64_t calls = now.calls_left - logged.calls_left;
  const __int128 distance = static_cast<__int128>(logged.value) - now.value;
  if (calls == 0) return distance == 0;
  return distance != 0 && distance % calls == 0;
}

Found CompareSequence(const uint8_t* rebuilt, const uint8_t* disk) {
  uint32_t at, same;
  SequenceState logged{}, now{};
  if (!ReadSequence(rebuilt, &at, &logged) || !ReadSequence(disk, &same, &now) ||
      IsPossible(logged, now))
    return std::nullopt;
  return Difference{
      at, false,
      fmt::format("the sequence on disk is at {} ({}, {} calls before the next record), which "
                  "cannot come after {} in WAL",
                  now.value, now.is_called ? "called" : "not called", now.calls_left,
                  logged.value)};
}

// Redo and the server mark the left page of a split alike, but the server does so after it has taken
// the image.
Found CompareGist(const uint8_t* rebuilt, const uint8_t* disk) {
  namespace gist = pg::gist;
  const uint8_t* a = rebuilt + kBlockSize - gist::kSpecialSize;
  const uint8_t* b = disk + kBlockSize - gist::kSpecialSize;
  const auto at = static_cast<uint32_t>(a - rebuilt);
  if (pg::Get64(a + gist::kNsn) != pg::Get64(b + gist::kNsn))
    return Difference{at, false, "the page on disk has another node sequence number"};
  if ((pg::Get16(a + gist::kFlags) ^ pg::Get16(b + gist::kFlags)) & gist::kFollowRight)
    return Difference{at + static_cast<uint32_t>(gist::kFlags), false,
                      "the page on disk has another follow-right flag"};
  return std::nullopt;
}

}  // namespace

std::optional<Difference> DifferenceAtRest(uint8_t rmid, const uint8_t* rebuilt,
                                           const uint8_t* disk, const AtRestContext& context) {
  switch (rmid) {
    case kRmHeap:
    case kRmHeap2:
      return CompareHeap(rebuilt, disk, context);
    case kRmSeq:
      return CompareSequence(rebuilt, disk);
    case kRmGist:
      return CompareGist(rebuilt, disk);
    default:
      return std::nullopt;
  }
}

}  // namespace neon_redo

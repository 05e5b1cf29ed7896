// Which LSNs a page on disk may have where the server's differs from that of redo.
//
// Redo stamps nearly every record that it applies. The server does not stamp a page when it logs
// hints and the page is dirty already (MarkBufferDirtyHint). Redo does not stamp a heap page that
// becomes all-visible; the server does where hints are logged (visibilitymap_set).
// docs/verify-masks.md says which lost writes this hides.
#ifndef NEON_REDO_REPLAY_TOLERATED_LSN_H_
#define NEON_REDO_REPLAY_TOLERATED_LSN_H_

#include <algorithm>
#include <cstdint>

#include "neon_redo/lsn.h"

namespace neon_redo {

// Whether the server logs hints (XLogHintBitIsNeeded): on clusters with checksums or wal_log_hints.
enum class HintLogging : uint8_t {
  kAlways,
  kNever,
  kChanged,  // not the same all the time, or not known
};

// R: the rebuilt page's LSN. L: ToleratedLsn::lsn. "With hints": the page on disk must have all the
// hints of the rebuilt one, or it is an old copy.
enum class LsnRule : uint8_t {
  kExact,    // R
  kEarlier,  // R, or from L on with hints: some of the last records log hints with an image
  kLater,    // R or L: one record that may have moved the server's LSN
  kUpTo,     // from R to L: several of these
  kMoved,    // L: a record that moved the server's LSN, since hints are logged
  kBetween,  // from L to the last record's end, with hints
};

struct ToleratedLsn {
  LsnRule rule = LsnRule::kExact;
  Lsn lsn{};

  // A record that ends at `end` may have moved the server's LSN, and redo does not move its own.
  void MayMoveTo(Lsn end) {
    if (rule == LsnRule::kExact)
      *this = {LsnRule::kLater, end};
    else if (rule == LsnRule::kLater || rule == LsnRule::kUpTo)
      *this = {LsnRule::kUpTo, end};
    else
      rule = LsnRule::kBetween;
  }

  // No LSN that is allowed is earlier. last: the end of the page's last record.
  Lsn Earliest(Lsn last) const {
    if (rule == LsnRule::kEarlier || rule == LsnRule::kBetween) return std::min(last, lsn);
    // R, which is not known here; or any, where hints were not always logged.
    if (rule != LsnRule::kExact) return Lsn(1);
    return std::max(last, Lsn(1));
  }

  // The LSN that is right without any doubt.
  Lsn Demanded(Lsn rebuilt) const {
    return rule == LsnRule::kMoved ? std::max(lsn, rebuilt) : rebuilt;
  }

  enum class Verdict : uint8_t { kRight, kRightWithHints, kWrong };
  // last: the end of the last record of the page.
  Verdict Judge(HintLogging hints, Lsn rebuilt, Lsn disk, Lsn last) const {
    if (disk == Demanded(rebuilt)) return Verdict::kRight;
    const auto right_if = [](bool condition, Verdict verdict) {
      return condition ? verdict : Verdict::kWrong;
    };
    switch (rule) {
      case LsnRule::kExact:
        return Verdict::kWrong;
      case LsnRule::kEarlier:
        return right_if(disk >= lsn && disk < rebuilt, Verdict::kRightWithHints);
      case LsnRule::kLater:
        return right_if(hints != HintLogging::kNever && disk == lsn && lsn > rebuilt,
                        Verdict::kRight);
      case LsnRule::kUpTo:
        return right_if(hints != HintLogging::kNever && disk > rebuilt && disk <= lsn,
                        Verdict::kRight);
      case LsnRule::kMoved:
        return right_if(hints == HintLogging::kChanged && disk.valid() && disk < lsn,
                        Verdict::kRightWithHints);
      case LsnRule::kBetween:
        return right_if(disk >= lsn && disk <= last, Verdict::kRightWithHints);
    }
    return Verdict::kWrong;
  }
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_TOLERATED_LSN_H_

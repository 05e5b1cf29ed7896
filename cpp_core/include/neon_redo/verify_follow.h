// A server's WAL verified as it is written: what `neon-redo verify --follow` runs. This header is
// part of the library neon_redo_net.
#ifndef NEON_REDO_VERIFY_FOLLOW_H_
#define NEON_REDO_VERIFY_FOLLOW_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "neon_redo/cancel.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/receiver.h"
#include "neon_redo/verify.h"

namespace neon_redo {

struct FollowProgress {
  Lsn verified;     // up to here
  uint64_t behind;  // bytes of WAL that the server has after `verified`
  // Since the server sent what was verified last, by both clocks; 0 when nothing is behind.
  std::chrono::duration<double> delay;
  uint64_t records;
  uint64_t compared;
  uint64_t different;
  WalStream* stream;  // until the callback returns
};

struct FollowOptions {
  VerifyOptions verify;  // engine, worker, memory and spill_directory; the rest is not used
  StreamOptions stream;
  std::optional<std::string> slot;  // an existing physical one; it follows what is verified
  std::optional<Lsn> start;         // else where the slot is, else the server's end of WAL
  std::optional<Lsn> until;
  std::function<void(const Mismatch&)> on_mismatch;        // as each is found
  std::function<void(const FollowProgress&)> on_progress;  // a few times a second
};

// Receives WAL and verifies it (live_check.h), over lost connections and timeline switches, until
// `until` or the cancellation, which is no error. One thread, and the receiver's for feedback.
//
// Errors: as WalStream::Next; kCorrupt when what comes is not WAL; a worker that cannot be run.
// What a worker refuses or gets wrong is not an error but a mismatch.
Result<VerifyResult> VerifyFollow(const FollowOptions& options, const CancelSignal& cancel);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_FOLLOW_H_

// Whether a server continues the WAL that was received so far.
#ifndef NEON_REDO_WAL_CLIENT_FORK_H_
#define NEON_REDO_WAL_CLIENT_FORK_H_

#include <cstdint>
#include <optional>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

// The timeline that followed another one, and the first byte of it.
struct Fork {
  uint32_t timeline;
  Lsn start;
};

// After a failover that lost WAL the server's history leaves `timeline` before `position`: returns
// that fork. Nothing: the server continues from the position, or may do so later, because it is a
// standby. kInvalidArgument: it never will, since it is a primary with less WAL, or its timeline
// does not descend from this one. The receiver is connected and not streaming.
Result<std::optional<Fork>> FindEarlierFork(WalReceiver* receiver, const SystemIdentity& server,
                                            uint32_t timeline, Lsn position);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_FORK_H_

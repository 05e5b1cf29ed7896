// The redo worker: postgres --single, taken over from _PG_init. In order: the few parts of the
// server that redo needs (engine.h), the sandbox (sandbox.h), then frames from stdin and pages to
// stdout until EOF (serve.h).
#ifndef NEON_REDO_SRC_WORKER_WORKER_H_
#define NEON_REDO_SRC_WORKER_WORKER_H_

#include "src/worker/sandbox.h"

namespace neon_redo {

// Counts changes of the pipe protocol (docs/protocol.md).
inline constexpr int kProtocolVersion = 1;

struct WorkerConfig {
  bool sandboxed;         // neon.redo_sandbox is not off
  SandboxConfig sandbox;  // the other neon.redo_* settings
};

// Never returns: exits 0 at EOF, 1 with a message on stderr when a request cannot be right.
[[noreturn]] void RunWorker(const WorkerConfig& config);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_WORKER_H_

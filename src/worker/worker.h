// The redo worker: `postgres --single`, taken over in _PG_init. It starts the parts of the server
// that redo needs (engine.h), enters the sandbox (sandbox.h), then reads frames from stdin and
// writes pages to stdout until end of file (serve.h).
#ifndef NEON_REDO_SRC_WORKER_WORKER_H_
#define NEON_REDO_SRC_WORKER_WORKER_H_

#include "src/worker/sandbox.h"

namespace neon_redo {

// Version of the pipe protocol (docs/protocol.md), increased with each change of it.
inline constexpr int kProtocolVersion = 1;

struct WorkerConfig {
  bool sandboxed;         // neon.redo_sandbox is not off
  SandboxConfig sandbox;  // the other neon.redo_* settings
};

// Does not return. The process exits with status 0 at end of file, and with status 1 and a message
// on stderr after an invalid request.
[[noreturn]] void RunWorker(const WorkerConfig& config);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_WORKER_H_

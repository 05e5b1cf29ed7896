// Confines a redo worker while it reads input: it reaches three pipes, its memory and the
// processor. The file includes no server header, so that tests can put their own programs into the
// sandbox.
#ifndef NEON_REDO_SRC_WORKER_SANDBOX_H_
#define NEON_REDO_SRC_WORKER_SANDBOX_H_

#include "src/worker/policy.h"

namespace neon_redo {

// Each layer holds without the others. A requested layer that the system cannot provide is a
// failure, except Landlock, which is left out where the kernel does not support it.
struct SandboxConfig {
  int memory_limit_mb = 2048;  // address space in MiB beyond that mapped at the call
  bool filter = true;          // system calls (policy.h)
  OnForbiddenCall forbidden = OnForbiddenCall::kDie;
  bool landlock = false;    // no file system, TCP port or abstract socket; Linux 5.13 and later
  bool namespaces = false;  // user, network, IPC, UTS; PID for children
};

struct SandboxFailure {
  const char* step = nullptr;  // null: no failure
  int error = 0;               // errno
};

// Wipes the initial environment, closes every descriptor above 2, drops capabilities and
// privileges, sets limits and loads the requested layers, the filter last. Irreversible: after a
// failure the process must end. The process must have one thread.
[[nodiscard]] SandboxFailure EnterSandbox(const SandboxConfig& config);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_SANDBOX_H_

// What confines a redo worker while it reads input: what it can reach is three pipes, its memory
// and the processor. Freestanding: the tests put programs of their own into the same box.
#ifndef NEON_REDO_SRC_WORKER_SANDBOX_H_
#define NEON_REDO_SRC_WORKER_SANDBOX_H_

#include "src/worker/policy.h"

namespace neon_redo {

// Each layer holds without the others. One that is asked for and cannot be had is a failure; only
// Landlock is then left out where the kernel has none.
struct SandboxConfig {
  int memory_limit_mb = 2048;  // address space that may be added to what is mapped now, in MiB
  bool filter = true;          // system calls (policy.h)
  OnForbiddenCall forbidden = OnForbiddenCall::kDie;
  bool landlock = false;    // no file system, TCP port or abstract socket; Linux 5.13 and later
  bool namespaces = false;  // user, network, IPC, UTS; PID for children
};

struct SandboxFailure {
  const char* step = nullptr;  // null: none
  int error = 0;
};

// Closes every descriptor above 2, wipes the initial environment, gives up capabilities and
// privileges, sets limits, and loads the layers asked for, the filter last. Irreversible, also when
// it fails half-way: the process must then end. One thread only.
[[nodiscard]] SandboxFailure EnterSandbox(const SandboxConfig& config);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_SANDBOX_H_

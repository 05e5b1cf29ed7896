// Launching the program that WorkerOptions name. RedoWorker and the manager's pool both do it here.
#ifndef NEON_REDO_REDO_WORKER_START_WORKER_H_
#define NEON_REDO_REDO_WORKER_START_WORKER_H_

#include <optional>

#include "cpp_core/redo/worker/child_process.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/home.h"
#include "neon_redo/error.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// Just launched, not yet known to work. The home, if it has one, must stay until it has answered a
// ping.
struct StartedWorker {
  ChildProcess child;
  std::optional<WorkerHome> home;
  SandboxLayers layers;  // of a server
};

// kIo, kNotFound when it cannot be launched, kUnsupported when the kernel has not what is asked
// for. Thread-safe. As ChildProcess::Start says, the worker is killed when the calling thread ends.
Result<StartedWorker> StartWorker(const WorkerOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_START_WORKER_H_

// Launching the program that WorkerOptions name. RedoWorker and the manager's pool both do it here.
#ifndef NEON_REDO_REDO_START_WORKER_H_
#define NEON_REDO_REDO_START_WORKER_H_

#include <optional>

#include "cpp_core/base/error.h"
#include "cpp_core/redo/child_process.h"
#include "cpp_core/redo/command_line.h"
#include "cpp_core/redo/home.h"
#include "cpp_core/redo/worker_process.h"

namespace neon_redo {

// Just launched, not yet known to work. The home, if it has one, must stay until it has answered a
// ping.
struct StartedWorker {
  ChildProcess child;
  std::optional<WorkerHome> home;
  SandboxLayers sandbox;
};

// kIo, kNotFound when it cannot be launched. Thread-safe. As ChildProcess::Start says, the worker
// is killed when the calling thread ends.
Result<StartedWorker> StartWorker(const WorkerOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_START_WORKER_H_

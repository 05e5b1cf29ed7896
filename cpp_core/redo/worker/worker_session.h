// One worker process from its launch to its end: launched, greeted, and put in words when it fails.
// The single-worker client (worker_process.h) and the manager's pool talk to their workers through
// one of these.
#ifndef NEON_REDO_REDO_WORKER_WORKER_SESSION_H_
#define NEON_REDO_REDO_WORKER_WORKER_SESSION_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cpp_core/redo/worker/child_process.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/home.h"
#include "cpp_core/redo/worker/pipe_loop.h"
#include "neon_redo/error.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// How a worker failed.
struct WorkerFailure {
  ErrorCode code;    // kTimeout: it did not answer in time; kWorker: anything else
  std::string what;  // one line: what it did, how it ended and what it said
  ChildExit exit;
};

// Movable, not copyable. One thread at a time, but for what is said of child().
class WorkerSession {
 public:
  using Clock = PipeLoop::Clock;

  // Launches a worker, which is not known to work yet: see StartSession. kIo, kNotFound when it
  // cannot be launched; kUnsupported when the kernel lacks what is asked for. Thread-safe. The
  // worker is killed when the calling thread ends (ChildProcess::Start).
  static Result<WorkerSession> Launch(const WorkerOptions& options);

  // The pid of the child may be read, and the child be killed, on any thread while the session
  // lives.
  ChildProcess& child() { return child_; }
  const ChildProcess& child() const { return child_; }
  PipeLoop& pipe() { return pipe_; }
  const PipeLoop& pipe() const { return pipe_; }
  // What confines the worker; nothing for another program than a server.
  const SandboxLayers& layers() const { return layers_; }

  // Has the worker answer a ping. A new worker does so before it gets work. So a failure to start
  // can be distinguished from a request that kills, and the worker's home can be removed. pause:
  // called before each wait, gives the longest time to wait; empty: wait for the timeout. A failure
  // has ended the process.
  std::optional<WorkerFailure> Greet(const WorkerOptions& options,
                                     const std::function<Clock::duration()>& pause);

  // Ends the process, whose last turn was not kProgress. name: "the redo worker". amid_answer: some
  // bytes of the next answer have come. waited: for kTimeout. sent: for kSurplus, "more bytes than
  // were asked for".
  WorkerFailure Fail(PipeLoop::Turn turn, const std::string& name, bool amid_answer,
                     std::chrono::milliseconds waited, const char* sent);

  // Closes the worker's input, waits a moment for it to end, and kills it if it does not.
  void End();
  // Kills it.
  void Kill() { child_.Finish(std::chrono::milliseconds(0)); }

 private:
  WorkerSession(ChildProcess child, std::optional<WorkerHome> home, const SandboxLayers& layers)
      : child_(std::move(child)),
        home_(std::move(home)),
        layers_(layers),
        pipe_(child_.input(), child_.output(), child_.error()) {}

  ChildProcess child_;
  std::optional<WorkerHome> home_;  // until it has answered a ping
  SandboxLayers layers_;
  PipeLoop pipe_;
};

// Keeps a session that was just launched, in place of an earlier one, and returns its place.
using KeepSession = std::function<WorkerSession*(WorkerSession)>;

// Launches a worker and has it answer a ping, within options.timeout. A worker that was killed from
// outside while it started (SIGKILL) says nothing about the next: another one is launched. After an
// error the process of the session that was kept, if any, has ended. Errors: of Launch;
// WorkerFailure's codes.
Status StartSession(const WorkerOptions& options, const KeepSession& keep,
                    const std::function<WorkerSession::Clock::duration()>& pause = {});

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_WORKER_SESSION_H_

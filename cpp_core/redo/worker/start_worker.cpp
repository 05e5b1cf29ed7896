#include "cpp_core/redo/worker/start_worker.h"

#include <unistd.h>

#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/redo/worker/command_line.h"

namespace neon_redo {

namespace {

Result<StartedWorker> StartProgram(const ChildProgram& program, std::optional<WorkerHome> home,
                                   SandboxLayers layers) {
  ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(program));
  return StartedWorker{std::move(child), std::move(home), layers};
}

}  // namespace

Result<StartedWorker> StartWorker(const WorkerOptions& options) {
  if (!options.command.empty()) {
    return StartProgram({"/bin/sh", {"sh", "-c", options.command}, {}, {}}, {}, {});
  }
  if (!options.program.empty()) {
    return StartProgram({options.program[0], options.program, {}, {}}, {}, {});
  }
  WorkerServer server;
  server.bindir = options.bindir;
  server.version = options.version;
  server.module = options.module;
  server.sandbox = options.sandbox;
  server.landlock = options.landlock;
  server.namespaces = options.namespaces;
  server.memory_limit_mb = options.memory_limit_mb;
  const SandboxLayers layers = LayersOf(server);
  if (options.sandbox && options.landlock.value_or(false) && !layers.landlock) {
    return MakeError(ErrorCode::kUnsupported, "this kernel has no Landlock (Linux 5.13 and later)");
  }
  ASSIGN_OR_RETURN(const std::string program, WorkerProgram(server));
  // Not moved out of its result: GCC 12 then warns of uninitialised members.
  const Result<std::optional<UserIdentity>> user = WorkerUser(options.user);
  if (!user) return tl::unexpected(user.error());
  HomeOwner owner{geteuid(), getegid()};
  if (*user) owner = {(*user)->uid, (*user)->gid};
  ASSIGN_OR_RETURN(WorkerHome home, WorkerHome::Create(owner, ServerVersion(server.version)));
  std::vector<std::string> arguments = WorkerArguments(server, program, home.path());
  return StartProgram({program, std::move(arguments), WorkerEnvironment(server, program), *user},
                      std::move(home), layers);
}

}  // namespace neon_redo

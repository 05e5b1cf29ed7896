// After exec nobody of ours is left in this process to remove the home. So a cleaner is forked off
// first: a process of init's, out of the way of the data, that waits for the end of a pipe whose
// other end the worker inherits. The worker closes all descriptors above 2 when it enters its
// sandbox, which is when it needs the home no longer; and a worker that fails to start, or is
// killed, closes it too. The cleaner thus lives some milliseconds.
#include "cpp_core/redo/worker/become_worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "cpp_core/redo/worker/child_process.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/home.h"

namespace neon_redo {

namespace {

Error SystemError(const std::string& what) {
  return {ErrorCode::kIo, fmt::format("could not {}: {}", what, std::strerror(errno))};
}

// In the cleaner. Keeps the lock of the home; must hold nothing of the streams, or the client would
// never see their end.
[[noreturn]] void Clean(std::optional<WorkerHome>* home, int pipe) {
  setsid();
  const int null = open("/dev/null", O_RDWR);
  for (int stream = 0; stream < 3; ++stream) dup2(null, stream);
  char byte;
  while (read(pipe, &byte, 1) < 0 && errno == EINTR) {
  }
  home->reset();
  _exit(0);
}

// Forks twice: the worker must not get a child that it knows nothing of.
std::optional<Error> StartCleaner(std::optional<WorkerHome>* home) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("make a pipe");
  const pid_t child = fork();
  if (child < 0) return SystemError("fork");
  if (child == 0) {
    close(ends[1]);
    const pid_t cleaner = fork();
    if (cleaner == 0) Clean(home, ends[0]);
    _exit(cleaner < 0 ? 1 : 0);
  }
  close(ends[0]);
  fcntl(ends[1], F_SETFD, 0);  // goes on into the worker
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return Error{ErrorCode::kIo, "could not fork"};
  return std::nullopt;
}

bool BecomeUser(const UserIdentity& user) {
  return setgroups(0, nullptr) == 0 && setresgid(user.gid, user.gid, user.gid) == 0 &&
         setresuid(user.uid, user.uid, user.uid) == 0;
}

}  // namespace

Error BecomeWorker(WorkerServer server, const std::string& user) {
  if (Status status = ResolveServer(&server); !status) return status.error();
  const std::string program = WorkerProgram(server);
  const Result<std::optional<UserIdentity>> identity = WorkerUser(user);
  if (!identity) return identity.error();
  const std::optional<UserIdentity>& become = *identity;
  Result<WorkerHome> made = WorkerHome::Create(
      become ? HomeOwner{become->uid, become->gid} : HomeOwner{geteuid(), getegid()},
      *server.version);
  if (!made) return made.error();
  std::optional<WorkerHome> home(std::move(*made));
  // Descriptors of the caller: the worker must not hold them open.
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  if (std::optional<Error> error = StartCleaner(&home)) return *error;
  if (become && !BecomeUser(*become)) return SystemError("change the user");
  const std::vector<std::string> arguments = WorkerArguments(server, program, home->path());
  const std::vector<std::string> environment = WorkerEnvironment(server, program);
  execve(program.c_str(), ExecStrings(arguments).data(), ExecStrings(environment).data());
  return SystemError(fmt::format("execute \"{}\"", program));
}

}  // namespace neon_redo

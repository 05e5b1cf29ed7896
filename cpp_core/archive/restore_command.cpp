#include "cpp_core/archive/restore_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// wait_result_is_any_signal in common/wait_error.c: above it a shell reports a signal, or that it
// could not run the command.
constexpr int kMostNotThere = 125;

constexpr const char* kNoFile = "000000000000000000000000";

// Attributes of a new process.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t set;
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&attributes_, &set);
    // The command starts with default signal handling.
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGQUIT}) sigaddset(&set, signal);
    posix_spawnattr_setsigdefault(&attributes_, &set);
    // Without a terminal: a group in the background that asks on it would be stopped for ever.
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// How the process ended. Calls `ended` before its id can become another process's.
Result<int> WaitFor(pid_t pid, const std::function<void()>& ended) {
  siginfo_t info;
  int result = 0, error = 0, status = 0;
  do {
    result = waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    error = errno;
  } while (result < 0 && error == EINTR);
  ended();
  if (result < 0) return ErrnoError(error, "could not wait for the restore command");
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return ErrnoError(errno, "could not wait for the restore command");
  return status;
}

}  // namespace

Result<std::string> ExpandRestoreCommand(const std::string& command, const std::string& name,
                                         const std::string& path) {
  std::string out;
  for (size_t i = 0; i < command.size(); i++) {
    if (command[i] != '%') {
      out += command[i];
      continue;
    }
    const char letter = ++i < command.size() ? command[i] : '\0';
    if (letter == 'f') {
      out += name;
    } else if (letter == 'p') {
      out += path;
    } else if (letter == 'r') {
      out += kNoFile;
    } else if (letter == '%') {
      out += '%';
    } else if (letter == '\0') {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the restore command ends with a single %; write %% for a percent sign");
    } else {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the restore command has the placeholder %{}, which is none of "
                                   "%f, %p, %r and %%",
                                   letter));
    }
  }
  return out;
}

Result<pid_t> StartShell(const std::string& script, const std::string& argument, int input,
                         int output) {
  SpawnPlan plan;
  posix_spawn_file_actions_adddup2(&plan.actions_, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&plan.actions_, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&plan.actions_, output, STDERR_FILENO);
  char shell[] = "sh", option[] = "-c";
  std::string text = script, word = argument;
  char* arguments[] = {shell,  option, text.data(), shell, word.empty() ? nullptr : word.data(),
                       nullptr};
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, "/bin/sh", &plan.actions_, &plan.attributes_, arguments, environ);
  if (error != 0) return ErrnoError(error, "could not start /bin/sh");
  return pid;
}

Result<Restored> RunRestoreCommand(const std::string& command, const std::string& name,
                                   const std::string& path,
                                   const std::function<void(pid_t)>& started) {
  ASSIGN_OR_RETURN(const std::string expanded, ExpandRestoreCommand(command, name, path));
  const FileDescriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!nothing) return FileError("open file", "/dev/null");
  ASSIGN_OR_RETURN(const pid_t pid, StartShell(expanded, "", nothing.get(), STDERR_FILENO));
  started(pid);
  ASSIGN_OR_RETURN(const int status, WaitFor(pid, [&] { started(0); }));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Restored::kFetched;
  if (WIFEXITED(status) && WEXITSTATUS(status) <= kMostNotThere) return Restored::kNotThere;
  const std::string end = WIFSIGNALED(status)
                              ? fmt::format("was terminated by signal {}: {}", WTERMSIG(status),
                                            strsignal(WTERMSIG(status)))
                              : fmt::format("ended with status {}", WEXITSTATUS(status));
  return MakeError(ErrorCode::kIo,
                   fmt::format("could not fetch file \"{}\": the restore command \"{}\" {}", name,
                               expanded, end));
}

}  // namespace neon_redo

// Launch in prose: the parent makes three pipes and everything the child will need as plain
// pointers, blocks all signals and calls vfork. The child shares the parent's memory until it
// execs, while the parent's thread stands still; so the child makes raw system calls only: no
// allocation, no libc state (glibc's setuid would signal the parent's other threads). It leaves
// errno and the failed step in the parent's memory when something fails.
//
// Changing user in shared memory makes the kernel clear the "dumpable" flag of that memory, the
// parent's included; this is what keeps the new user from tracing the child while it can still see
// the parent's memory. The parent sets it back afterwards, under a lock, as two launches at once
// would see each other's flag.
#include "cpp_core/redo/worker/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// Room for 32 pages: a worker with so many requests in flight need not stop to be read. Makes these
// half as dear as the default 64 kB; a larger input pipe changes nothing.
constexpr int kOutputPipeSize = 256 * 1024;

// All the child looks at.
struct LaunchPlan {
  const char* path;
  char* const* arguments;
  char* const* environment;
  const UserIdentity* user;
  int streams[3];  // become 0, 1, 2; all above 2
  pid_t parent;
};

struct LaunchFailure {
  const char* step = nullptr;
  int error = 0;
};

[[noreturn]] __attribute__((noinline)) void RunChild(const LaunchPlan& plan,
                                                     volatile LaunchFailure* failure) {
  auto fail = [failure](const char* step) {
    failure->error = errno;
    failure->step = step;
    _exit(127);
  };
  syscall(SYS_setsid);
  for (int stream = 0; stream < 3; ++stream) {
    if (syscall(SYS_dup3, plan.streams[stream], stream, 0) < 0) fail("set up the pipes of");
  }
  // Not fatal where a container forbids the call: our own descriptors close on exec anyway.
  syscall(SYS_close_range, 3u, ~0u, 0u);
  if (plan.user != nullptr) {
    if (syscall(SYS_setgroups, plan.user->groups.size(), plan.user->groups.data()) != 0 ||
        syscall(SYS_setresgid, plan.user->gid, plan.user->gid, plan.user->gid) != 0 ||
        syscall(SYS_setresuid, plan.user->uid, plan.user->uid, plan.user->uid) != 0) {
      fail("change the user of");
    }
  }
  // After the change of user, which clears it. The parent may have died before.
  syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (syscall(SYS_getppid) != plan.parent) _exit(127);

  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &by_default, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  syscall(SYS_execve, plan.path, plan.arguments, plan.environment);
  fail("execute");
  __builtin_unreachable();
}

Result<pid_t> Launch(const LaunchPlan& plan) {
  static std::mutex one_at_a_time;
  std::lock_guard<std::mutex> lock(one_at_a_time);
  const int dumpable = plan.user != nullptr ? prctl(PR_GET_DUMPABLE) : -1;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  volatile LaunchFailure failure;
  const pid_t pid = vfork();
  if (pid == 0) RunChild(plan, &failure);
  const int vfork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (dumpable == 1) prctl(PR_SET_DUMPABLE, 1);
  if (pid > 0 && failure.step == nullptr) return pid;
  if (pid > 0) waitpid(pid, nullptr, 0);
  return MakeError(ErrorCode::kIo,
                   fmt::format("could not {} \"{}\": {}", pid > 0 ? failure.step : "fork for",
                               plan.path, std::strerror(pid > 0 ? failure.error : vfork_error)));
}

// An end above 2 that closes on exec. A host program without standard streams hands out 0 to 2.
bool RaiseDescriptor(int* fd) {
  if (*fd > 2) return true;
  const int raised = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
  close(*fd);
  *fd = raised;
  return raised >= 0;
}

struct Pipe {
  int reader = -1;
  int writer = -1;
  ~Pipe() {
    if (reader >= 0) close(reader);
    if (writer >= 0) close(writer);
  }
  bool Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    reader = ends[0];
    writer = ends[1];
    return RaiseDescriptor(&reader) && RaiseDescriptor(&writer);
  }
};

// The child's end shares the pipe, not the flag: O_NONBLOCK goes by open file, one for each end.
bool DoNotBlock(int fd) { return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0; }

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::string ChildExit::ToString() const {
  if (!known) return "ended";
  if (signal == 0) return fmt::format("exit status {}", status);
  if (signal == SIGSYS) return "killed by the sandbox (SIGSYS)";
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? fmt::format("killed by SIG{}", name)
                         : fmt::format("killed by signal {}", signal);
}

Result<ChildProcess> ChildProcess::Start(const ChildProgram& program) {
  Pipe input;
  Pipe output;
  Pipe error;
  if (!input.Open() || !output.Open() || !error.Open() || !DoNotBlock(input.writer) ||
      !DoNotBlock(output.reader) || !DoNotBlock(error.reader)) {
    return MakeError(ErrorCode::kIo, fmt::format("could not make the pipes of \"{}\": {}",
                                                 program.path, std::strerror(errno)));
  }
  // May fail: the user's share of pipe memory (fs.pipe-user-pages-soft) may be used up.
  fcntl(output.reader, F_SETPIPE_SZ, kOutputPipeSize);
  const std::vector<char*> arguments = Pointers(program.arguments);
  const std::vector<char*> environment =
      program.environment ? Pointers(*program.environment) : std::vector<char*>();
  LaunchPlan plan{program.path.c_str(),
                  arguments.data(),
                  program.environment ? environment.data() : environ,
                  program.user ? &*program.user : nullptr,
                  {input.reader, output.writer, error.writer},
                  getpid()};
  ASSIGN_OR_RETURN(const pid_t pid, Launch(plan));
  ChildProcess child;
  child.pid_ = pid;
  child.pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  child.input_ = std::exchange(input.writer, -1);
  child.input_reader_ = std::exchange(input.reader, -1);
  child.output_ = std::exchange(output.reader, -1);
  child.error_ = std::exchange(error.reader, -1);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      input_(std::exchange(other.input_, -1)),
      input_reader_(std::exchange(other.input_reader_, -1)),
      output_(std::exchange(other.output_, -1)),
      error_(std::exchange(other.error_, -1)),
      exit_(std::exchange(other.exit_, std::nullopt)) {}

ChildProcess::~ChildProcess() {
  if (pid_ == 0) return;
  Finish(std::chrono::milliseconds(0));
  for (int fd : {pidfd_, input_, input_reader_, output_, error_}) {
    if (fd >= 0) close(fd);
  }
}

void ChildProcess::CloseInput() {
  if (input_ >= 0) close(std::exchange(input_, -1));
}

ChildExit ChildProcess::Finish(std::chrono::milliseconds patience) {
  if (exit_) return *exit_;
  pollfd ended{pidfd_, POLLIN, 0};
  // The group too: a shell command may have children. Its number stays ours until we reap.
  if (pidfd_ < 0 || poll(&ended, 1, static_cast<int>(patience.count())) <= 0) kill(-pid_, SIGKILL);
  ChildExit result;
  int status = 0;
  pid_t reaped;
  do reaped = waitpid(pid_, &status, 0);
  while (reaped < 0 && errno == EINTR);
  if (reaped == pid_) {
    result.known = true;
    if (WIFSIGNALED(status)) {
      result.signal = WTERMSIG(status);
    } else {
      result.status = WEXITSTATUS(status);
    }
  }
  exit_ = result;
  return result;
}

}  // namespace neon_redo

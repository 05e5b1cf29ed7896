// How a launch goes: the parent makes three pipes and everything the child will need as plain
// pointers, blocks all signals and calls vfork. The child shares the parent's memory until it
// execs, while the parent's thread stands still. So the child makes raw system calls only: no
// allocation, no libc state (glibc's setuid would signal the parent's other threads). When something
// fails, the child leaves errno and the failed step in the parent's memory.
//
// When the child changes its user, the kernel clears the "dumpable" flag of the shared memory, the
// parent's included. This keeps the new user from tracing the child while it can still see the
// parent's memory. The parent sets the flag again afterwards, under a lock, because two launches at
// once would see each other's flag.
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
#include <mutex>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// Room for 32 pages: a worker with so many requests in flight need not wait until its output is
// read. They cost half of what they cost with the default of 64 kB. A larger input pipe changes
// nothing.
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
    if (syscall(SYS_setgroups, 0, nullptr) != 0 ||
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
  const pid_t pid = vfork();               // NOLINT(clang-analyzer-security.insecureAPI.vfork)
  if (pid == 0) RunChild(plan, &failure);  // NOLINT(clang-analyzer-unix.Vfork)
  const int vfork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (dumpable == 1) prctl(PR_SET_DUMPABLE, 1);
  if (pid > 0 && failure.step == nullptr) return pid;
  if (pid > 0) waitpid(pid, nullptr, 0);
  return ErrnoError(
      pid > 0 ? failure.error : vfork_error,
      fmt::format("could not {} \"{}\"", pid > 0 ? failure.step : "fork for", plan.path));
}

// A descriptor above 2 that closes on exec. A host program without standard streams would be given
// 0 to 2.
FileDescriptor AboveStandardStreams(int fd) {
  if (fd > 2) return FileDescriptor(fd);
  const FileDescriptor low(fd);
  return FileDescriptor(fcntl(low.get(), F_DUPFD_CLOEXEC, 3));
}

struct Pipe {
  FileDescriptor reader;
  FileDescriptor writer;
  bool Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    reader = AboveStandardStreams(ends[0]);
    writer = AboveStandardStreams(ends[1]);
    return reader && writer;
  }
};

// The child's end shares the pipe, not the flag: O_NONBLOCK goes by open file, one for each end.
bool DoNotBlock(const FileDescriptor& fd) {
  return fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK) == 0;
}

}  // namespace

std::vector<char*> ExecStrings(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

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
    return ErrnoError(errno, fmt::format("could not make the pipes of \"{}\"", program.path));
  }
  // May fail: the user's share of pipe memory (fs.pipe-user-pages-soft) may be used up.
  fcntl(output.reader.get(), F_SETPIPE_SZ, kOutputPipeSize);
  const std::vector<char*> arguments = ExecStrings(program.arguments);
  const std::vector<char*> environment =
      program.environment ? ExecStrings(*program.environment) : std::vector<char*>();
  LaunchPlan plan{program.path.c_str(),
                  arguments.data(),
                  program.environment ? environment.data() : environ,
                  program.user ? &*program.user : nullptr,
                  {input.reader.get(), output.writer.get(), error.writer.get()},
                  getpid()};
  ASSIGN_OR_RETURN(const pid_t pid, Launch(plan));
  ChildProcess child;
  child.pid_ = pid;
  child.pidfd_.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  child.input_ = std::move(input.writer);
  child.input_reader_ = std::move(input.reader);
  child.output_ = std::move(output.reader);
  child.error_ = std::move(error.reader);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      pidfd_(std::move(other.pidfd_)),
      input_(std::move(other.input_)),
      input_reader_(std::move(other.input_reader_)),
      output_(std::move(other.output_)),
      error_(std::move(other.error_)),
      exit_(std::exchange(other.exit_, std::nullopt)) {}

ChildProcess::~ChildProcess() {
  if (pid_ != 0) Finish(std::chrono::milliseconds(0));
}

void ChildProcess::Kill() const {
  // Kernels before 5.3 have no such descriptors.
  if (pidfd_)
    syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  else
    kill(pid_, SIGKILL);
}

bool ChildProcess::HasEnded() const {
  if (exit_) return true;
  siginfo_t ended{};
  const int looked = waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT);
  // An error: other code has reaped it.
  return looked != 0 || ended.si_pid != 0;
}

ChildExit ChildProcess::Finish(std::chrono::milliseconds patience) {
  if (exit_) return *exit_;
  pollfd ended{pidfd_.get(), POLLIN, 0};
  // The group too: a shell command may have children. Its number stays ours until we reap.
  if (!pidfd_ || poll(&ended, 1, static_cast<int>(patience.count())) <= 0) kill(-pid_, SIGKILL);
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

// The order matters. /proc/self/stat is read before descriptors are closed. Namespaces come before
// the limits and capabilities that entering them would change. The filter comes last, because it
// forbids the system calls that the other layers need.
#include "src/worker/sandbox.h"

#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "src/worker/violation.h"

namespace neon_redo {

namespace {

SandboxFailure Done(long result, const char* step) {
  return result == 0 ? SandboxFailure{} : SandboxFailure{step, errno};
}

// Fields 23, 50 and 51 of /proc/self/stat (proc(5)).
struct Memory {
  unsigned long mapped = 0;  // address space in use, in bytes
  unsigned long environment_begin = 0;
  unsigned long environment_end = 0;
};

bool ReadMemory(Memory* memory) {
  FILE* file = fopen("/proc/self/stat", "re");
  if (file == nullptr) return false;
  char text[1024];
  const size_t length = fread(text, 1, sizeof(text) - 1, file);
  fclose(file);
  text[length] = '\0';
  // Field 2 is the program's name in parentheses, which may contain any character.
  const char* p = strrchr(text, ')');
  int field = 2;
  for (p = p != nullptr ? p + 1 : ""; *p != '\0'; ++p) {
    if (*p != ' ') continue;
    ++field;
    unsigned long value = 0;
    if (sscanf(p + 1, "%lu", &value) != 1) continue;
    if (field == 23) memory->mapped = value;
    if (field == 50) memory->environment_begin = value;
    if (field == 51) memory->environment_end = value;
  }
  return memory->mapped != 0 && field >= 51;
}

// Environment variables may hold secrets of the program that launched the worker.
void WipeEnvironment(const Memory& memory) {
  if (memory.environment_begin >= memory.environment_end) return;
  explicit_bzero(reinterpret_cast<void*>(memory.environment_begin),
                 memory.environment_end - memory.environment_begin);
}

// The process keeps its id: only its children would be in the new PID namespace.
SandboxFailure EnterNamespaces() {
  const int flags = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;
  return Done(unshare(flags), "enter namespaces");
}

SandboxFailure DropCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return Done(syscall(SYS_capset, &header, none), "give up capabilities");
}

// Sets the parent-death signal again, which a change of credentials clears (prctl(2)).
SandboxFailure KeepDeathSignal(int signal, pid_t parent) {
  if (signal == 0) return {};
  if (prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0) return {"PR_SET_PDEATHSIG", errno};
  if (getppid() != parent) raise(SIGKILL);
  return {};
}

// struct landlock_ruleset_attr of linux/landlock.h, with fields that the build's headers may lack.
// An older kernel takes the shorter struct of its own ABI version.
struct LandlockRules {
  uint64_t file_system;
  uint64_t network;  // since ABI 4
  uint64_t scoped;   // since ABI 6
};

// Loads a ruleset that handles every right the kernel knows and grants none. A kernel without
// Landlock is not a failure.
SandboxFailure EnterLandlock() {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, size_t{0}, 1U /* VERSION */);
  if (abi <= 0) return {};
  const int rights = abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13;
  const LandlockRules rules = {(uint64_t{1} << rights) - 1, abi >= 4 ? uint64_t{3} : 0,
                               abi >= 6 ? uint64_t{3} : 0};
  const size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const long ruleset = syscall(SYS_landlock_create_ruleset, &rules, size, 0U);
  if (ruleset < 0) return {"make a Landlock ruleset", errno};
  const SandboxFailure failure =
      Done(syscall(SYS_landlock_restrict_self, ruleset, 0U), "load a Landlock ruleset");
  close(static_cast<int>(ruleset));
  return failure;
}

// A day: a worker whose client hangs and cannot kill it does not compute for ever.
constexpr rlim_t kProcessorSeconds = 24 * 60 * 60;

// A worker that a person started may have a file for its output (neon-redo worker > FILE).
bool WritesToFile() {
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat st;
    if (fstat(stream, &st) == 0 && S_ISREG(st.st_mode)) return true;
  }
  return false;
}

SandboxFailure SetLimits(rlim_t address_space) {
  const struct {
    __rlimit_resource which;
    rlim_t value;
    const char* step;
  } limits[] = {{RLIMIT_AS, address_space, "limit memory"},
                {RLIMIT_NOFILE, 0, "limit open files"},
                {RLIMIT_NPROC, 0, "limit processes"},
                {RLIMIT_CORE, 0, "limit core files"},
                {RLIMIT_FSIZE, WritesToFile() ? RLIM_INFINITY : 0, "limit the size of files"},
                {RLIMIT_CPU, kProcessorSeconds, "limit processor time"}};
  for (const auto& limit : limits) {
    // A lower limit that was there stays, the soft one too.
    struct rlimit before;
    if (getrlimit(limit.which, &before) != 0) return {limit.step, errno};
    const struct rlimit both = {std::min(limit.value, before.rlim_cur),
                                std::min(limit.value, before.rlim_max)};
    if (setrlimit(limit.which, &both) != 0) return {limit.step, errno};
  }
  return {};
}

SandboxFailure EnterFilter(OnForbiddenCall forbidden) {
  int error = forbidden == OnForbiddenCall::kDie ? ReportForbiddenCalls() : 0;
  if (error == 0) error = LoadPolicy(forbidden);
  return error == 0 ? SandboxFailure{} : SandboxFailure{"load the system call filter", error};
}

}  // namespace

SandboxFailure EnterSandbox(const SandboxConfig& config) {
  Memory memory;
  if (!ReadMemory(&memory)) return {"read /proc/self/stat", errno};
  const rlim_t ceiling = memory.mapped + (static_cast<rlim_t>(config.memory_limit_mb) << 20);
  int death_signal = 0;
  prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
  const pid_t parent = getppid();
  WipeEnvironment(memory);

  SandboxFailure failure = Done(syscall(SYS_close_range, 3U, ~0U, 0U), "close descriptors");
  if (failure.step == nullptr && config.namespaces) failure = EnterNamespaces();
  if (failure.step == nullptr) failure = DropCapabilities();
  if (failure.step == nullptr) {
    failure = Done(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE");
  }
  if (failure.step == nullptr) failure = KeepDeathSignal(death_signal, parent);
  if (failure.step == nullptr) {
    failure = Done(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
  }
  if (failure.step == nullptr && config.landlock) failure = EnterLandlock();
  if (failure.step == nullptr) failure = SetLimits(ceiling);
  if (failure.step == nullptr && config.filter) failure = EnterFilter(config.forbidden);
  return failure;
}

}  // namespace neon_redo

// The filter is an allow-list with argument checks; what is not on it kills the process. Two calls
// are answered without being executed, which is what lets the worker keep no descriptor but the
// three pipes:
//  - pread64 returns 0, "end of file". md.c takes that during recovery as a page of zeroes (mdread
//    in storage/smgr/md.c), which is right for the stray pages (free space map, visibility map)
//    that redo looks at and nobody answers.
//  - mmap fails with ENOMEM. malloc tries it when the heap cannot grow; failing lets PostgreSQL
//    say "out of memory" instead of dying unheard.
// After a PANIC has said its message, abort(3) may end the process by SIGABRT, so that its end is
// not taken for a violation of the sandbox: that needs gettid, getpid and the signal to itself.
#include "src/sandbox.h"

#include <linux/close_range.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "src/server.h"

namespace neon_redo {

namespace {

[[noreturn]] void Refuse(const char* step, int error) {
  errno = error;
  ereport(FATAL, (errmsg("could not enter the sandbox: %s: %m", step),
                  errdetail("The WAL redo worker does not start unconfined."),
                  errhint("To debug on a system without seccomp, set neon.redo_sandbox to off.")));
  _exit(1);
}

void SetLimit(__rlimit_resource which, rlim_t value, const char* name) {
  struct rlimit limit = {value, value};
  if (setrlimit(which, &limit) != 0) Refuse(name, errno);
}

// Address space in use, in bytes (first field of /proc/self/statm, in pages).
rlim_t MappedBytes() {
  FILE* f = fopen("/proc/self/statm", "re");
  unsigned long pages = 0;
  if (f == nullptr || fscanf(f, "%lu", &pages) != 1) Refuse("read /proc/self/statm", errno);
  fclose(f);
  return static_cast<rlim_t>(pages) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

// Collects rules; the first failure sticks and is reported by Load.
class Policy {
 public:
  Policy() : context_(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
    if (context_ == nullptr) Refuse("seccomp_init", ENOMEM);
    Keep(seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
  }
  Policy& Allow(int call) {
    Keep(seccomp_rule_add_exact(context_, SCMP_ACT_ALLOW, call, 0));
    return *this;
  }
  Policy& AllowDescriptor(int call, int descriptor) {
    Keep(seccomp_rule_add_exact(context_, SCMP_ACT_ALLOW, call, 1,
                                SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(descriptor))));
    return *this;
  }
  // tgkill of this very process, with this signal.
  Policy& AllowSignalToSelf(int signal) {
    Keep(seccomp_rule_add_exact(context_, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2,
                                SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())),
                                SCMP_A2(SCMP_CMP_EQ, static_cast<scmp_datum_t>(signal))));
    return *this;
  }
  // The call is not executed; it returns -1 with this errno, or 0 when the errno is 0.
  Policy& Answer(int call, int error) {
    Keep(seccomp_rule_add_exact(context_, SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), call, 0));
    return *this;
  }
  // Also sets no_new_privs.
  void Load() {
    if (error_ == 0) Keep(seccomp_load(context_));
    if (error_ != 0) Refuse("load the system call filter", error_);
    seccomp_release(context_);
  }

 private:
  void Keep(int result) {
    if (result < 0 && error_ == 0) error_ = -result;
  }
  scmp_filter_ctx context_;
  int error_ = 0;
};

}  // namespace

void EnterSandbox(int memory_limit_mb) {
  const rlim_t ceiling = MappedBytes() + (static_cast<rlim_t>(memory_limit_mb) << 20);
  if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0) Refuse("close descriptors", errno);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) Refuse("PR_SET_DUMPABLE", errno);
  SetLimit(RLIMIT_AS, ceiling, "limit memory");
  SetLimit(RLIMIT_NOFILE, 0, "limit open files");
  SetLimit(RLIMIT_NPROC, 0, "limit processes");
  SetLimit(RLIMIT_CORE, 0, "limit core files");

  Policy()
      .AllowDescriptor(SCMP_SYS(read), STDIN_FILENO)
      .AllowDescriptor(SCMP_SYS(write), STDOUT_FILENO)
      .AllowDescriptor(SCMP_SYS(write), STDERR_FILENO)
      .Allow(SCMP_SYS(brk))
      .Allow(SCMP_SYS(exit_group))
      .Allow(SCMP_SYS(gettid))
      .Allow(SCMP_SYS(getpid))
      .AllowSignalToSelf(SIGABRT)
      .Answer(SCMP_SYS(rt_sigprocmask), 0)
      .Answer(SCMP_SYS(pread64), 0)
      .Answer(SCMP_SYS(mmap), ENOMEM)
      .Load();
}

}  // namespace neon_redo

// The filter is an allow-list with argument checks; what is not on it ends the process. Three calls
// are answered without being executed, which is what lets the worker keep no descriptor but the
// three pipes:
//  - pread64 returns 0, "end of file". md.c takes that during recovery as a page of zeroes (mdread
//    in storage/smgr/md.c), which is right for the stray pages (free space map, visibility map)
//    that redo looks at and nobody answers.
//  - mmap fails with ENOMEM. malloc tries it when the heap cannot grow; failing lets PostgreSQL
//    say "out of memory" instead of dying unheard.
//  - rt_sigprocmask returns 0; abort(3) and elog.c call it, and there is nothing to mask.
// The C library says "free(): invalid pointer" and the like by writev, and then aborts.
// After a PANIC has said its message, abort(3) may end the process by SIGABRT, so that its end is
// not taken for a violation of the sandbox: that needs gettid, getpid and the signal to itself.
//
// A forbidden call raises SIGSYS (SECCOMP_RET_TRAP), which does not execute it either, but lets
// the handler in violation.cpp say which call it was before the process dies of the same signal.
// The 32-bit and x32 entry points kill outright: no honest code goes there.
#include "src/worker/policy.h"

#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace neon_redo {

namespace {

// Collects rules; the first failure sticks.
class Policy {
 public:
  explicit Policy(OnForbiddenCall action)
      : context_(seccomp_init(action == OnForbiddenCall::kLog ? SCMP_ACT_LOG : SCMP_ACT_TRAP)) {
    if (context_ == nullptr) {
      error_ = ENOMEM;
      return;
    }
    Keep(seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
  }
  ~Policy() { seccomp_release(context_); }
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  Policy& Allow(int call) {
    Keep(seccomp_rule_add_exact(context_, SCMP_ACT_ALLOW, call, 0));
    return *this;
  }
  Policy& AllowDescriptor(int call, int descriptor) {
    Keep(seccomp_rule_add_exact(context_, SCMP_ACT_ALLOW, call, 1,
                                SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(descriptor))));
    return *this;
  }
  // The filter is a list that the kernel goes through: this call comes first.
  Policy& First(int call) {
    Keep(seccomp_syscall_priority(context_, call, 255));
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

  int Load() {
    if (error_ == 0) Keep(seccomp_load(context_));
    return error_;
  }
  int Export(int descriptor) {
    if (error_ == 0) Keep(seccomp_export_bpf(context_, descriptor));
    return error_;
  }

  Policy& AddRules();

 private:
  void Keep(int result) {
    if (result < 0 && error_ == 0) error_ = -result;
  }
  scmp_filter_ctx context_;
  int error_ = 0;
};

Policy& Policy::AddRules() {
  return First(SCMP_SYS(read))
      .First(SCMP_SYS(write))
      .AllowDescriptor(SCMP_SYS(read), STDIN_FILENO)
      .AllowDescriptor(SCMP_SYS(write), STDOUT_FILENO)
      .AllowDescriptor(SCMP_SYS(write), STDERR_FILENO)
      .AllowDescriptor(SCMP_SYS(writev), STDERR_FILENO)
      .Allow(SCMP_SYS(brk))
      .Allow(SCMP_SYS(exit_group))
      .Allow(SCMP_SYS(gettid))
      .Allow(SCMP_SYS(getpid))
      .AllowSignalToSelf(SIGABRT)
      .Answer(SCMP_SYS(rt_sigprocmask), 0)
      .Answer(SCMP_SYS(pread64), 0)
      .Answer(SCMP_SYS(mmap), ENOMEM);
}

}  // namespace

int LoadPolicy(OnForbiddenCall action) { return Policy(action).AddRules().Load(); }

int ExportPolicy(OnForbiddenCall action, int descriptor) {
  return Policy(action).AddRules().Export(descriptor);
}

}  // namespace neon_redo

// The filter is an allow-list with argument checks. A system call that is not on the list ends the
// process. Three calls are answered without being executed, so that the worker needs no descriptor
// but the three pipes:
//  - pread64 returns 0, end of file. During recovery mdread (storage/smgr/md.c) takes that for a
//    page of zeroes. Redo reads only free space map and visibility map pages this way, and no
//    answer contains them.
//  - mmap fails with ENOMEM. malloc calls mmap when the heap cannot grow; the failure lets
//    PostgreSQL report "out of memory".
//  - rt_sigprocmask returns 0. abort(3) and elog.c call it; no signal needs to be masked.
// The C library reports "free(): invalid pointer" and the like with writev, and then aborts. After
// the message of a PANIC, abort(3) must be able to end the process by SIGABRT, which needs gettid,
// getpid and tgkill. Otherwise a PANIC would look like a violation of the sandbox.
//
// A forbidden call raises SIGSYS (SECCOMP_RET_TRAP) and is not executed. The handler in
// violation.cpp prints its name before the process dies of the same signal. The 32-bit and x32
// entry points kill the process at once, since PostgreSQL never uses them.
#include "src/worker/policy.h"

#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace neon_redo {

namespace {

// Collects rules and keeps the first error.
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
  // Puts the call at the front of the list, which the kernel searches from front to back.
  Policy& First(int call) {
    Keep(seccomp_syscall_priority(context_, call, 255));
    return *this;
  }
  // Allows tgkill of this process with this signal.
  Policy& AllowSignalToSelf(int signal) {
    Keep(seccomp_rule_add_exact(context_, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2,
                                SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())),
                                SCMP_A2(SCMP_CMP_EQ, static_cast<scmp_datum_t>(signal))));
    return *this;
  }
  // Makes the call return -1 with this errno, or 0 if error is 0, without executing it.
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

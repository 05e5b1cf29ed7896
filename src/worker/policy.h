// The system calls that a redo worker may make once it is in its sandbox. Freestanding: the tests
// load and export the very same policy (tests/hostile).
#ifndef NEON_REDO_SRC_WORKER_POLICY_H_
#define NEON_REDO_SRC_WORKER_POLICY_H_

namespace neon_redo {

enum class OnForbiddenCall {
  kDie,  // SIGSYS; the call is not executed. ReportForbiddenCall (violation.h) names it
  kLog,  // executed, and put into the kernel's audit log: to find what the policy lacks
};

// Makes the policy for this process (it names the process's own id) and loads it; sets
// no_new_privs. Irreversible. Returns 0 or an errno.
int LoadPolicy(OnForbiddenCall action);

// Writes the policy as the kernel would get it, an array of struct sock_filter, to a descriptor.
// Returns 0 or an errno.
int ExportPolicy(OnForbiddenCall action, int descriptor);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_POLICY_H_

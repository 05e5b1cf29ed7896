// The system calls that a redo worker may make inside its sandbox. The file includes no server
// header, so that tests/hostile can load and export the same policy.
#ifndef NEON_REDO_SRC_WORKER_POLICY_H_
#define NEON_REDO_SRC_WORKER_POLICY_H_

namespace neon_redo {

enum class OnForbiddenCall {
  kDie,  // raises SIGSYS and is not executed; ReportForbiddenCalls (violation.h) prints its name
  kLog,  // is executed and written to the audit log, to find calls that the policy lacks
};

// Builds the policy, which contains this process's id, and loads it. Sets no_new_privs.
// Irreversible. Returns 0 or an errno.
int LoadPolicy(OnForbiddenCall action);

// Writes the policy to a descriptor as an array of struct sock_filter, the kernel's own form.
// Returns 0 or an errno.
int ExportPolicy(OnForbiddenCall action, int descriptor);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_POLICY_H_

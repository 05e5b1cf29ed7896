// Says which system call the sandbox forbade, before the process dies of it. Freestanding.
#ifndef NEON_REDO_SRC_WORKER_VIOLATION_H_
#define NEON_REDO_SRC_WORKER_VIOLATION_H_

namespace neon_redo {

// From here on SIGSYS writes one line to stderr, kViolationPrefix (redo/frames.h) and the call's
// name, and the process dies by SIGSYS. Before the policy is loaded. Returns 0 or an errno.
int ReportForbiddenCalls();

// Every system call of this architecture: "\nNUMBER NAME" for each, by number.
extern const char kSystemCalls[];

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_VIOLATION_H_

// Prints the name of a forbidden system call before the process dies of it. Includes no server
// header.
#ifndef NEON_REDO_SRC_WORKER_VIOLATION_H_
#define NEON_REDO_SRC_WORKER_VIOLATION_H_

namespace neon_redo {

// Installs the handler of SIGSYS. It writes one line to stderr, kViolationPrefix
// (cpp_core/redo/worker/frames.h) and the name of the call; the process then dies by SIGSYS. Call
// it before the policy is loaded. Returns 0 or an errno.
int ReportForbiddenCalls();

// All system calls of this architecture as "\nNUMBER NAME", ordered by number.
extern const char kSystemCalls[];

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_VIOLATION_H_

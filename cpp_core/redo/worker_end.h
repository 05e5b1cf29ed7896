// The end of a worker in words for an error message.
#ifndef NEON_REDO_REDO_WORKER_END_H_
#define NEON_REDO_REDO_WORKER_END_H_

#include <string>

#include "cpp_core/redo/child_process.h"
#include "cpp_core/redo/pipe_loop.h"

namespace neon_redo {

// "exit status 1", "killed by SIGKILL", "killed by the sandbox: openat". A worker that its sandbox
// killed names the system call last. If it said something before, that is the reason, and the call
// only what the way out of it tried.
std::string DescribeEnd(const ChildExit& exit, const StreamTail& messages);

// What else it said, as one line; empty when nothing.
std::string LastWords(const StreamTail& messages);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_END_H_

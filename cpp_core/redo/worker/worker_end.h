// How a worker ended and what it said, for error messages.
#ifndef NEON_REDO_REDO_WORKER_WORKER_END_H_
#define NEON_REDO_REDO_WORKER_WORKER_END_H_

#include <string>

#include "cpp_core/redo/worker/child_process.h"
#include "cpp_core/redo/worker/pipe_loop.h"

namespace neon_redo {

// How it ended. Of a sandbox's victim: by which system call, which is what it said last. A message
// before that is the reason, and the call only what the way out of it tried.
std::string DescribeEnd(const ChildExit& exit, const StreamTail& messages);

// ": " and the end of what it said as one line, without what DescribeEnd uses; or nothing.
std::string DescribeMessages(const StreamTail& messages);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_WORKER_END_H_

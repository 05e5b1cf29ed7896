// The worker's side of the pipe protocol (cpp_core/redo/worker/frames.h, docs/protocol.md).
#ifndef NEON_REDO_SRC_WORKER_SERVE_H_
#define NEON_REDO_SRC_WORKER_SERVE_H_

namespace neon_redo {

// Allocates its buffers, then reads frames from descriptor 0 and writes pages to descriptor 1.
// Returns at end of file between requests. Any other end of the input is ereport(FATAL).
void Serve();

// Writes the finished answers before the process exits. A failure is not reported.
void WriteLastAnswers();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_SERVE_H_

// The pipe protocol's server side (cpp_core/redo/worker/frames.h, docs/protocol.md).
#ifndef NEON_REDO_SRC_WORKER_SERVE_H_
#define NEON_REDO_SRC_WORKER_SERVE_H_

namespace neon_redo {

// Allocates its buffers, then reads frames from descriptor 0 and writes pages to descriptor 1.
// Returns at EOF between requests; anything else that ends the stream is ereport(FATAL).
void Serve();

// Writes the answers that are ready, on the way out: what fails is not reported.
void WriteLastAnswers();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_SERVE_H_

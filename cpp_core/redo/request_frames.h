// A request as frames on their way to a worker.
#ifndef NEON_REDO_REDO_REQUEST_FRAMES_H_
#define NEON_REDO_REDO_REQUEST_FRAMES_H_

#include <string>

#include "cpp_core/redo/out_queue.h"
#include "cpp_core/redo/worker_process.h"

namespace neon_redo {

// kInvalidArgument for what the protocol cannot carry or no worker can answer.
Status CheckRequest(const RedoRequest& request);

// Begin, push, apply for each record, get. Large pieces are borrowed from the request.
void QueueRequest(const RedoRequest& request, OutQueue* out);

void QueuePing(OutQueue* out);

// For messages: "block 7 of 1663/5/16384 (main fork), base image, 2 records of 148 bytes ending at
// 0/15000A8..0/1500110".
std::string DescribeRequest(const RedoRequest& request);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_REQUEST_FRAMES_H_

// A request as frames on their way to a worker.
#ifndef NEON_REDO_REDO_WORKER_REQUEST_FRAMES_H_
#define NEON_REDO_REDO_WORKER_REQUEST_FRAMES_H_

#include <span>
#include <string>

#include "cpp_core/redo/worker/frames.h"
#include "cpp_core/redo/worker/out_queue.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// kInvalidArgument for what the protocol cannot carry or no worker can answer.
Status CheckRequest(const RedoRequest& request);

// Begin, push, apply for each record, get. Large pieces are borrowed from the request.
void QueueRequest(const RedoRequest& request, OutQueue* out);

void QueuePing(OutQueue* out);

inline void StoreTagFrame(uint8_t* out, FrameType type, const BlockTag& tag, uint32_t more) {
  StoreFrameHeader(out, type, kTagSize + more);
  StoreTag(out + kFrameHeaderSize, tag);
}

// What QueueRequest does, for records of any kind: view makes a RedoRecord of one. Out has Grow and
// Append as OutQueue has.
template <typename Record, typename View, typename Out>
void StoreRequest(const BlockTag& tag, const uint8_t* base_image, std::span<const Record> records,
                  const View& view, Out* out) {
  StoreTagFrame(out->Grow(kBeginFrameSize), kFrameBegin, tag, 0);
  if (base_image != nullptr) {
    StoreTagFrame(out->Grow(kFrameHeaderSize + kTagSize), kFramePush, tag, kBlockSize);
    out->Append(Bytes(base_image, kBlockSize));
  }
  for (const Record& one : records) {
    const RedoRecord record = view(one);
    uint8_t* prefix = out->Grow(kApplyPrefixSize);
    StoreFrameHeader(prefix, kFrameApply, static_cast<uint32_t>(8 + record.record.size()));
    StoreBe64(prefix + kFrameHeaderSize, record.end.value);
    out->Append(record.record);
  }
  StoreTagFrame(out->Grow(kGetFrameSize), kFrameGet, tag, 0);
}

// For messages: "block 7 of 1663/5/16384 (main fork), base image, 2 records of 148 bytes ending at
// 0/15000A8..0/1500110".
std::string DescribeRequest(const RedoRequest& request);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_REQUEST_FRAMES_H_

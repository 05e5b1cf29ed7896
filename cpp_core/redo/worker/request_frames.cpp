#include "cpp_core/redo/worker/request_frames.h"

#include <fmt/format.h>

#include "cpp_core/redo/worker/frames.h"
#include "neon_redo/record.h"

namespace neon_redo {

Status CheckRequest(const RedoRequest& request) {
  const char* problem = nullptr;
  if (request.tag.fork > kMaxForkNumber) problem = "there is no such fork";
  if (request.base_image == nullptr && request.records.empty()) {
    problem = "neither base image nor records";
  }
  for (const RedoRecord& record : request.records) {
    if (record.record.size() < kRecordHeaderSize || record.record.size() > kMaxRecordLength) {
      problem = "a record's length is impossible";
    }
  }
  if (problem == nullptr) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("could not redo {}: {}", DescribeRequest(request), problem));
}

void QueueRequest(const RedoRequest& request, OutQueue* out) {
  StoreRequest(
      request.tag, request.base_image, request.records,
      [](const RedoRecord& record) { return record; }, out);
}

void QueuePing(OutQueue* out) { StoreFrameHeader(out->Grow(kPingFrameSize), kFramePing, 0); }

std::string DescribeRequest(const RedoRequest& request) {
  const BlockTag& tag = request.tag;
  std::string text = fmt::format("block {} of {}/{}/{} ({} fork)", tag.block, tag.rel.spc,
                                 tag.rel.db, tag.rel.rel, ForkName(tag.fork));
  text += request.base_image != nullptr ? ", base image" : ", no base image";
  if (request.records.empty()) return text;
  size_t bytes = 0;
  for (const RedoRecord& record : request.records) bytes += record.record.size();
  const size_t count = request.records.size();
  return text + fmt::format(", {} record{} of {} bytes ending at {}{}", count,
                            count == 1 ? "" : "s", bytes, request.records.front().end.ToString(),
                            count == 1 ? "" : ".." + request.records.back().end.ToString());
}

}  // namespace neon_redo

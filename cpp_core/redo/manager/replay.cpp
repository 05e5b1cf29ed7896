#include "cpp_core/redo/manager/replay.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/redo/worker/out_queue.h"
#include "cpp_core/redo/worker/request_frames.h"

namespace neon_redo {

namespace {

std::vector<RedoRecord> RecordsOf(const ReplayedRun& run) {
  std::vector<RedoRecord> records;
  for (const PageRecord& record : run.records) {
    records.push_back({record.lsn, std::get<PostgresRecord>(record.record).record});
  }
  return records;
}

void ApplyNative(const PageKey& key, ReplayedRun* run) {
  run->after = run->before;
  for (const PageRecord& record : run->records) {
    run->status = run->before.empty()
                      ? MakeError(ErrorCode::kInvalidArgument, "there is no page to change")
                      : ApplyPageServerRecord(std::get<PageServerRecord>(record.record), record.lsn,
                                              key, &run->after);
    if (!run->status) return run->after.clear();
  }
}

void ApplyByWorker(const PageKey& key, RedoWorker* worker, ReplayedRun* run) {
  const Result<BlockTag> tag = key.ToBlock();
  if (!tag) {
    run->status = tl::unexpected(tag.error());
    return;
  }
  const std::vector<RedoRecord> records = RecordsOf(*run);
  run->after.resize(kBlockSize);
  run->status = worker->Redo({*tag, run->before.empty() ? nullptr : run->before.data(), records},
                             run->after.data());
  if (!run->status) run->after.clear();
}

}  // namespace

std::vector<ReplayedRun> Replay(const PageRequest& request, RedoWorker* worker) {
  std::vector<ReplayedRun> runs;
  PageImage page(request.base_image.begin(), request.base_image.end());
  const std::span<const PageRecord> records = request.records;
  for (size_t at = 0; at < records.size();) {
    ReplayedRun& run = runs.emplace_back();
    run.native = std::holds_alternative<PageServerRecord>(records[at].record);
    size_t end = at;
    while (end < records.size() &&
           std::holds_alternative<PageServerRecord>(records[end].record) == run.native) {
      ++end;
    }
    run.records = records.subspan(at, end - at);
    run.before = page;
    if (run.native) {
      ApplyNative(request.key, &run);
    } else {
      ApplyByWorker(request.key, worker, &run);
    }
    if (!run.status) break;
    page = run.after;
    at = end;
  }
  return runs;
}

Status WriteFrames(const PageKey& key, const ReplayedRun& run, int fd) {
  ASSIGN_OR_RETURN(const BlockTag tag, key.ToBlock());
  const std::vector<RedoRecord> records = RecordsOf(run);
  const RedoRequest request{tag, run.before.empty() ? nullptr : run.before.data(), records};
  RETURN_IF_ERROR(CheckRequest(request));
  OutQueue frames;
  QueueRequest(request, &frames);
  while (!frames.empty()) {
    if (frames.WriteTo(fd) < 0 && errno != EINTR) {
      return ErrnoError(errno, "could not write the frames");
    }
  }
  return {};
}

}  // namespace neon_redo

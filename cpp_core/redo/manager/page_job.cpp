#include "cpp_core/redo/manager/page_job.h"

#include <fmt/format.h>

#include "cpp_core/redo/request_frames.h"

namespace neon_redo {

namespace {

size_t AttemptsAllowed(AttemptKind kind) {
  switch (kind) {
    case AttemptKind::kRead:
      return 3;
    case AttemptKind::kCompaction:
      return 2;
    case AttemptKind::kGarbageCollection:
      return 1;
  }
  return 1;
}

const PostgresRecord* AsPostgres(const PageRecord& record) {
  return std::get_if<PostgresRecord>(&record.record);
}

}  // namespace

PageJob::PageJob(const PageRequest& request, Clock::time_point start, Clock::time_point deadline)
    : request_(request), start_(start), deadline_(deadline) {
  for (const PageRecord& record : request_.records) {
    if (const PostgresRecord* postgres = AsPostgres(record)) {
      record_bytes_ += postgres->record.size();
    }
  }
}

PageJob::Next PageJob::Begin() {
  if (const Status check = Check(); !check) return Fail(check.error().code, check.error().message);
  return Advance();
}

Status PageJob::Check() {
  const auto refuse = [](std::string why) {
    return MakeError(ErrorCode::kInvalidArgument, std::move(why));
  };
  if (request_.records.empty()) return refuse("there are no records to apply");
  const Result<BlockTag> tag = request_.key.ToBlock();
  const Result<SlruBlock> slru = request_.key.ToSlruBlock();
  if (!tag && !slru) return refuse("the key names no block");
  if (tag) tag_ = *tag;
  const size_t size = request_.base_image.size();
  const bool with_timestamp = slru && slru->kind == SlruKind::kClog;
  if (size != 0 && size != kBlockSize &&
      !(with_timestamp && size == kBlockSize + kClogTimestampSize)) {
    return refuse(fmt::format("the base image has {} bytes", size));
  }
  for (const PageRecord& record : request_.records) {
    const PostgresRecord* postgres = AsPostgres(record);
    if (postgres != nullptr && !tag) {
      return refuse(fmt::format("the PostgreSQL record at {} needs the key of a relation's block",
                                record.lsn.ToString()));
    }
  }
  if (size != 0) return {};
  const PageRecord& first = request_.records.front();
  const PostgresRecord* postgres = AsPostgres(first);
  if (postgres == nullptr) {
    return refuse(fmt::format("there is no base image for {} at {}",
                              NativeRecordName(std::get<NativeRecord>(first.record)),
                              first.lsn.ToString()));
  }
  if (!postgres->will_init) {
    return refuse(
        fmt::format("there is no base image, and the first record, at {}, does not "
                    "initialise the page",
                    first.lsn.ToString()));
  }
  return {};
}

// Applies native records until a worker is needed or all is done.
PageJob::Next PageJob::Advance() {
  const std::span<const PageRecord> records = request_.records;
  Clock::time_point native_start{};
  while (next_ < records.size()) {
    const PageRecord& record = records[next_];
    if (AsPostgres(record) != nullptr) break;
    if (native_start == Clock::time_point{}) native_start = Clock::now();
    if (page_.empty()) page_.assign(request_.base_image.begin(), request_.base_image.end());
    const Status applied =
        ApplyNativeRecord(std::get<NativeRecord>(record.record), record.lsn, request_.key, &page_);
    if (!applied) return Fail(applied.error().code, applied.error().message);
    ++next_;
  }
  if (native_start != Clock::time_point{}) native_ += Clock::now() - native_start;
  if (next_ == records.size()) return Next::kFinished;
  // A native engine for PostgreSQL's own records would be asked here, before a worker is.
  CollectRun();
  const RedoRequest run{tag_, page_.empty() ? request_.base_image.data() : page_.data(), run_};
  if (const Status check = CheckRequest(run); !check) {
    return Fail(check.error().code, check.error().message);
  }
  return Next::kWorker;
}

void PageJob::CollectRun() {
  attempts_ = 0;
  run_.clear();
  for (size_t i = next_; i < request_.records.size(); ++i) {
    const PostgresRecord* postgres = AsPostgres(request_.records[i]);
    if (postgres == nullptr) break;
    run_.push_back({request_.records[i].lsn, postgres->record});
  }
}

AttemptPtr PageJob::MakeAttempt(AttemptSink* sink, size_t index) {
  if (attempts_++ > 0) ++retries_;
  const uint8_t* base = page_.empty() ? request_.base_image.data() : page_.data();
  if (page_.empty() && request_.base_image.empty()) base = nullptr;
  return std::make_shared<Attempt>(RedoRequest{tag_, base, run_}, deadline_, sink, index);
}

PageJob::Next PageJob::Take(const AttemptPtr& attempt) {
  if (attempt->sent_at != Clock::time_point{}) {
    wait_ += attempt->sent_at - attempt->created;
    worker_ += Clock::now() - attempt->sent_at;
  }
  if (attempt->status) {
    page_ = std::move(attempt->page);
    next_ += run_.size();
    return Advance();
  }
  const bool again = attempt->worker_failed && attempts_ < AttemptsAllowed(request_.kind) &&
                     Clock::now() < deadline_;
  if (again) return Next::kWorker;
  return Fail(attempt->status.error().code, attempt->status.error().message);
}

PageJob::Next PageJob::GiveUp() { return Fail(ErrorCode::kTimeout, "the deadline passed"); }

PageJob::Next PageJob::Fail(ErrorCode code, const std::string& what) {
  std::string attempt;
  if (attempts_ > 0) {
    attempt = fmt::format(" (attempt {} of {})", attempts_, AttemptsAllowed(request_.kind));
  }
  status_ = MakeError(code, fmt::format("redo of {} failed{}: {}", Describe(), attempt, what));
  return Next::kFinished;
}

std::string PageJob::Describe() const {
  std::string text = fmt::format("{} (key {}) at {}, {}", request_.key.Describe(),
                                 request_.key.ToString(), request_.lsn.ToString(),
                                 request_.base_image.empty() ? "no base image" : "base image");
  const size_t count = request_.records.size();
  text += fmt::format(", {} record{}", count, count == 1 ? "" : "s");
  if (count == 0) return text;
  return text + fmt::format(" of {} bytes at {}..{}", record_bytes_,
                            request_.records.front().lsn.ToString(),
                            request_.records.back().lsn.ToString());
}

Result<PageImage> PageJob::TakeResult() {
  if (!status_) return tl::unexpected(status_.error());
  return std::move(page_);
}

}  // namespace neon_redo

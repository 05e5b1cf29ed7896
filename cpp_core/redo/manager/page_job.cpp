#include "cpp_core/redo/manager/page_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

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

thread_local RecordView scratch_view;  // about 3 kB

bool Supported(const BlockTag& tag, const RedoRecord& record) {
  return !scratch_view.Parse(record.record) && NativeSupports(scratch_view, tag);
}

}  // namespace

PageJob::PageJob(const PageRequest& request, Clock::time_point start, Clock::time_point deadline,
                 RedoEngine engine, RecordCounts* counts, bool timed)
    : request_(request),
      start_(start),
      deadline_(deadline),
      timed_(timed),
      engine_(engine),
      counts_(counts) {}

size_t PageJob::RecordBytes() const {
  size_t bytes = 0;
  for (const PageRecord& record : request_.records) {
    if (const PostgresRecord* postgres = AsPostgres(record)) bytes += postgres->record.size();
  }
  return bytes;
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
  bool with_timestamp = false;
  if (tag) {
    tag_ = *tag;
  } else {
    const Result<SlruBlock> slru = request_.key.ToSlruBlock();
    if (!slru) return refuse("the key names no block");
    with_timestamp = slru->kind == SlruKind::kClog;
  }
  const size_t size = request_.base_image.size();
  if (size != 0 && size != kBlockSize &&
      !(with_timestamp && size == kBlockSize + kClogTimestampSize)) {
    return refuse(fmt::format("the base image has {} bytes", size));
  }
  for (const PageRecord& record : request_.records) {
    const PostgresRecord* postgres = AsPostgres(record);
    if (postgres == nullptr) {
      has_own_records_ = true;
      continue;
    }
    // Counting and copying need it soon, and records lie anywhere.
    __builtin_prefetch(postgres->record.data());
    if (!tag) {
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

// Applies records until a worker is needed or all is done.
PageJob::Next PageJob::Advance() {
  if (!timed_) return AdvanceToWorker();
  const Clock::time_point start = Clock::now();
  const Next next = AdvanceToWorker();
  native_ += Clock::now() - start;
  return next;
}

PageJob::Next PageJob::AdvanceToWorker() {
  while (status_ && next_ < request_.records.size()) {
    if (AsPostgres(request_.records[next_]) == nullptr) {
      status_ = ApplyOwnRecords();
      continue;
    }
    status_ = CollectRun();
    if (status_ && engine_ != RedoEngine::kWorker) status_ = ApplyNatively();
    if (!status_ || run_.empty()) continue;
    CountForWorker();
    return Next::kWorker;
  }
  return status_ ? Next::kFinished : Fail(status_.error().code, status_.error().message);
}

// The page as of next_ becomes the job's own, to be changed: zeroes if there is none.
void PageJob::TakePage() {
  if (!page_.empty()) return;
  page_.assign(request_.base_image.begin(), request_.base_image.end());
  page_.resize(std::max(page_.size(), kBlockSize));
}

Status PageJob::ApplyOwnRecords() {
  TakePage();
  const PageRecord& record = request_.records[next_++];
  return ApplyNativeRecord(std::get<NativeRecord>(record.record), record.lsn, request_.key, &page_);
}

Status PageJob::CollectRun() {
  attempts_ = 0;
  run_.clear();
  run_.reserve(request_.records.size() - next_);
  for (const PageRecord& record : request_.records.subspan(next_)) {
    const PostgresRecord* postgres = AsPostgres(record);
    if (postgres == nullptr) break;
    run_.push_back({record.lsn, postgres->record});
  }
  return CheckRequest({tag_, page_.empty() ? request_.base_image.data() : page_.data(), run_});
}

// Applies what the native engine supports of the run. What stays in run_ is for a worker; when the
// engine refuses a record, nothing of the page counts, and a worker starts from the base image.
Status PageJob::ApplyNatively() {
  const bool have_page = !page_.empty() || !request_.base_image.empty();
  TakePage();
  const auto [applied, result] =
      ApplyNativeRun(tag_, run_, page_.data(), have_page, &scratch_view, nullptr);
  CountFirst(applied, RecordWay::kNative);
  if (result != NativeResult::kApplied && engine_ == RedoEngine::kNative) {
    return RefuseRecord(run_[applied], result);
  }
  if (result == NativeResult::kMalformed) {
    counts_->Add(run_[applied].record, RecordWay::kRefused);
    engine_ = RedoEngine::kWorker;
    page_.clear();
    next_ = 0;
    run_.clear();
    return {};
  }
  if (!have_page && applied == 0) page_.clear();
  run_.erase(run_.begin(), run_.begin() + static_cast<ptrdiff_t>(applied));
  next_ += applied;
  if (!run_.empty()) LimitRunToUnsupported();
  return {};
}

// A way to a worker and back costs more than the supported records between two that need it: the
// worker gets all of them up to the last unsupported one.
void PageJob::LimitRunToUnsupported() {
  while (run_.size() > 1 && Supported(tag_, run_.back())) run_.pop_back();
}

Status PageJob::RefuseRecord(const RedoRecord& record, NativeResult why) {
  run_.clear();
  if (why == NativeResult::kMalformed) {
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the record at {} does not fit the page", record.end.ToString()));
  }
  return MakeError(ErrorCode::kUnsupported,
                   fmt::format("the native engine does not support the record at {}; use a worker",
                               record.end.ToString()));
}

// Counts the first records of run_, neighbours of one kind together.
void PageJob::CountFirst(size_t count, RecordWay way) {
  const auto kind = [&](size_t i) {
    return LoadNative<uint16_t>(run_[i].record.data() + offsetof(RecordHeader, info)) & 0xfff0;
  };
  for (size_t i = 0; i < count;) {
    size_t end = i + 1;
    while (end < count && kind(end) == kind(i)) ++end;
    counts_->Add(run_[i].record, way, end - i);
    i = end;
  }
}

void PageJob::CountForWorker() {
  if (engine_ == RedoEngine::kWorker) return CountFirst(run_.size(), RecordWay::kAlong);
  for (size_t i = 0; i < run_.size(); ++i) {
    const bool along = i > 0 && Supported(tag_, run_[i]);
    counts_->Add(run_[i].record, along ? RecordWay::kAlong : RecordWay::kUnsupported);
  }
}

AttemptPtr PageJob::MakeAttempt(AttemptSink* sink, size_t index) {
  if (attempts_++ > 0) ++retries_;
  const uint8_t* base = page_.empty() ? request_.base_image.data() : page_.data();
  if (page_.empty() && request_.base_image.empty()) base = nullptr;
  return std::make_shared<Attempt>(RedoRequest{tag_, base, run_}, deadline_, sink, index);
}

PageJob::Next PageJob::Take(const AttemptPtr& attempt) {
  if (timed_ && attempt->sent_at != Clock::time_point{}) {
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
  return text + fmt::format(" of {} bytes at {}..{}", RecordBytes(),
                            request_.records.front().lsn.ToString(),
                            request_.records.back().lsn.ToString());
}

Result<PageImage> PageJob::TakeResult() {
  if (!status_) return tl::unexpected(status_.error());
  return std::move(page_);
}

}  // namespace neon_redo

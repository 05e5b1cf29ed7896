#include "cpp_core/redo/manager/page_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cpp_core/base/guard.h"

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

// AsPostgres of what is known to be one.
const PostgresRecord& Postgres(const PageRecord& record) { return *AsPostgres(record); }

RecordView& ScratchView(const pg::Version& version) {
  thread_local RecordView view(version);  // about 3 kB
  view.set_version(version);
  return view;
}
thread_local std::vector<RedoRecord> scratch_run;

bool Supported(const BlockTag& tag, const PageRecord& record, const pg::Version& version) {
  RecordView& view = ScratchView(version);
  return !view.Parse(Postgres(record).record) && NativeSupports(view, tag);
}

}  // namespace

PageJob::PageJob(const PageRequest& request, Clock::time_point start, Clock::time_point deadline,
                 Engine engine, const pg::Version& version, RecordCounts* counts, bool timed)
    : request_(request),
      start_(start),
      deadline_(deadline),
      timed_(timed),
      engine_(engine),
      version_(version),
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
    // The native engine needs it soon, and records lie anywhere.
    if (engine_ != Engine::kWorker) __builtin_prefetch(postgres->record.data());
    if (!tag) {
      return refuse(fmt::format("the PostgreSQL record at {} needs the key of a relation's block",
                                record.lsn.ToString()));
    }
    const size_t length = postgres->record.size();
    if (length < kRecordHeaderSize || length > kMaxRecordLength) {
      return refuse(fmt::format("the length of the record at {} is impossible: {} bytes",
                                record.lsn.ToString(), length));
    }
  }
  if (size != 0) return {};
  const PageRecord& first = request_.records.front();
  const PostgresRecord* postgres = AsPostgres(first);
  if (postgres == nullptr) {
    return refuse(fmt::format("there is no base image for {} at {}",
                              PageServerRecordName(std::get<PageServerRecord>(first.record)),
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
    // No attempt is under way here, so that an exception can do no harm.
    status_ = Guarded([this] { return ApplyHere(); });
    if (!status_ || run_ == 0) continue;
    CountForWorker();
    return Next::kWorker;
  }
  return status_ ? Next::kFinished : Fail(status_.error().code, status_.error().message);
}

// Applies the next records as far as no worker is needed; run_ is what one is needed for.
Status PageJob::ApplyHere() {
  run_ = 0;
  if (AsPostgres(request_.records[next_]) == nullptr) return ApplyOwnRecord();
  FindRun();
  return engine_ == Engine::kWorker ? Status() : ApplyNatively();
}

// The page as of next_ becomes the job's own, to be changed: zeroes if there is none.
void PageJob::TakePage() {
  if (!page_.empty()) return;
  page_.assign(request_.base_image.begin(), request_.base_image.end());
  page_.resize(std::max(page_.size(), kBlockSize));
}

Status PageJob::ApplyOwnRecord() {
  TakePage();
  const PageRecord& record = request_.records[next_++];
  return ApplyPageServerRecord(std::get<PageServerRecord>(record.record), record.lsn, request_.key,
                               &page_);
}

void PageJob::FindRun() {
  attempts_ = 0;
  run_ = request_.records.size() - next_;
  if (!has_own_records_) return;
  const auto end =
      std::find_if(request_.records.begin() + static_cast<ptrdiff_t>(next_), request_.records.end(),
                   [](const PageRecord& r) { return AsPostgres(r) == nullptr; });
  run_ = static_cast<size_t>(end - request_.records.begin()) - next_;
}

// Applies what the native engine supports of the run. The rest of run_ is for a worker. When the
// engine refuses a record, nothing of the page counts, and a worker starts from the base image.
Status PageJob::ApplyNatively() {
  const bool have_page = !page_.empty() || !request_.base_image.empty();
  TakePage();
  scratch_run.clear();
  for (const PageRecord& record : run()) {
    scratch_run.push_back({record.lsn, Postgres(record).record});
  }
  const auto [applied, for_worker, outcome] =
      ApplyRun(engine_, tag_, scratch_run, page_.data(), have_page, &ScratchView(version_));
  counts_->AddAll(run().first(applied), RecordWay::kNative);
  if (outcome == ApplyOutcome::kUnsupported || outcome == ApplyOutcome::kMalformed) {
    return RefuseRecord(run()[applied], outcome);
  }
  if (outcome == ApplyOutcome::kSpoilt) {
    counts_->Add(Postgres(run()[applied]).record, RecordWay::kRefused);
    engine_ = Engine::kWorker;
    page_.clear();
    next_ = 0;
    run_ = 0;
    return {};
  }
  if (!have_page && applied == 0) page_.clear();
  run_ = for_worker;
  next_ += applied;
  return {};
}

Status PageJob::RefuseRecord(const PageRecord& record, ApplyOutcome why) {
  run_ = 0;
  if (why == ApplyOutcome::kMalformed) {
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the record at {} does not fit the page", record.lsn.ToString()));
  }
  return MakeError(ErrorCode::kUnsupported,
                   fmt::format("the native engine does not support the record at {}; use a worker",
                               record.lsn.ToString()));
}

void PageJob::CountForWorker() {
  if (engine_ == Engine::kWorker) return;  // the attempt does
  bool first = true;
  for (const PageRecord& record : run()) {
    const bool along = !std::exchange(first, false) && Supported(tag_, record, version_);
    counts_->Add(Postgres(record).record, along ? RecordWay::kAlong : RecordWay::kUnsupported);
  }
}

AttemptPtr PageJob::MakeAttempt(AttemptSink* sink, size_t index) {
  if (attempts_++ > 0) ++retries_;
  const uint8_t* base = page_.empty() ? request_.base_image.data() : page_.data();
  if (page_.empty() && request_.base_image.empty()) base = nullptr;
  const bool count = engine_ == Engine::kWorker && attempts_ == 1;
  return std::make_shared<Attempt>(RecordRun{tag_, base, run()}, count ? counts_ : nullptr,
                                   deadline_, sink, index);
}

PageJob::Next PageJob::Take(const AttemptPtr& attempt) {
  if (timed_ && attempt->sent_at != Clock::time_point{}) {
    wait_ += attempt->sent_at - attempt->created;
    worker_ += Clock::now() - attempt->sent_at;
  }
  if (attempt->status) {
    page_ = std::move(attempt->page);
    next_ += run_;
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

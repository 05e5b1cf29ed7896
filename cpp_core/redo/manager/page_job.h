// One request on its way through its runs of records: the page server's own and what the native
// engine supports are applied here, the rest by workers.
#ifndef NEON_REDO_REDO_MANAGER_PAGE_JOB_H_
#define NEON_REDO_REDO_MANAGER_PAGE_JOB_H_

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "cpp_core/redo/apply.h"
#include "cpp_core/redo/manager/attempt.h"
#include "cpp_core/redo/manager/record_counts.h"
#include "neon_redo/manager.h"
#include "neon_redo/native.h"

namespace neon_redo {

// Not thread-safe; one owner at a time.
class PageJob {
 public:
  // version: of the server that wrote the records. counts must outlive the job. timed: the times
  // for the metrics are wanted.
  PageJob(const PageRequest& request, Clock::time_point start, Clock::time_point deadline,
          Engine engine, const pg::Version& version, RecordCounts* counts, bool timed);

  enum class Next {
    kWorker,    // MakeAttempt, and hand its outcome to Take
    kFinished,  // see result
  };
  // The first step. Checks the request as a whole before anything is done.
  Next Begin();
  AttemptPtr MakeAttempt(AttemptSink* sink, size_t index);
  // The step after an attempt: what follows the run, or the run again.
  Next Take(const AttemptPtr& attempt);
  // The deadline passed and the attempt was withdrawn.
  Next GiveUp();

  Result<PageImage> TakeResult();
  const Status& status() const { return status_; }

  const PageRequest& request() const { return request_; }
  Clock::time_point deadline() const { return deadline_; }
  size_t retries() const { return retries_; }
  // Known from Begin on: there are records of the page server's own, and so perhaps several runs.
  bool has_own_records() const { return has_own_records_; }

  // For the metrics; seconds.
  size_t RecordBytes() const;
  Clock::duration wait_time() const { return wait_; }
  Clock::duration native_time() const { return native_; }
  Clock::duration worker_time() const { return worker_; }
  Clock::time_point start() const { return start_; }

 private:
  Status Check();
  Next Advance();
  Next AdvanceToWorker();
  Next Fail(ErrorCode code, const std::string& what);
  Status ApplyHere();
  Status ApplyOwnRecord();
  void FindRun();
  Status ApplyNatively();
  Status RefuseRecord(const PageRecord& record, ApplyOutcome why);
  void TakePage();
  void CountForWorker();
  std::span<const PageRecord> run() const { return request_.records.subspan(next_, run_); }
  std::string Describe() const;

  const PageRequest request_;
  const Clock::time_point start_;
  const Clock::time_point deadline_;
  const bool timed_;
  Engine engine_;  // kWorker once the native engine has refused a record
  const pg::Version& version_;
  RecordCounts* const counts_;
  BlockTag tag_;     // when there are PostgreSQL records
  size_t next_ = 0;  // records before it are in the page
  size_t run_ = 0;   // how many of PostgreSQL's, from next_ on, are to be applied
  PageImage page_;   // as of next_; empty: the base image, or nothing
  bool has_own_records_ = false;
  size_t attempts_ = 0;  // at this run
  size_t retries_ = 0;
  Clock::duration wait_{0};
  Clock::duration native_{0};
  Clock::duration worker_{0};
  Status status_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_PAGE_JOB_H_

// The redo manager: pages for many callers at once, as a page server needs them. It rebuilds a page
// from a base image and records. Page-server records and PostgreSQL's common records are applied in
// this process; redo workers (sandboxed PostgreSQL processes) apply the others. One manager is one
// trust boundary, such as a tenant: its workers serve no other manager. docs/manager.md is the
// guide.
//
// The functions are those of Neon's PostgresRedoManager (request_redo, ping, status, shutdown).
//
//   neon_redo::RedoManager manager(neon_redo::ManagerOptions{});
//   neon_redo::PageRequest request;
//   request.key = neon_redo::PageKey::OfBlock({{1663, 5, 16384}, neon_redo::kMainFork, 7});
//   request.lsn = lsn;
//   request.base_image = image;   // 8192 bytes, or none
//   request.records = records;    // a span of PageRecord
//   neon_redo::Result<neon_redo::PageImage> page = manager.RequestRedo(request);
#ifndef NEON_REDO_MANAGER_H_
#define NEON_REDO_MANAGER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"
#include "neon_redo/page_server_record.h"
#include "neon_redo/worker.h"

namespace neon_redo {

class MetricsRegistry;  // neon_redo/metrics.h

// A PostgreSQL WAL record, header included.
struct PostgresRecord {
  bool will_init = false;  // it makes the page from nothing
  Bytes record;
};

// One change of the page. lsn is the end of the record it comes from: what the page's LSN becomes.
struct PageRecord {
  Lsn lsn;
  std::variant<PostgresRecord, PageServerRecord> record;
};

// The caller's kind of request limits the retries on another worker after a worker has failed.
enum class AttemptKind {
  kRead,               // twice
  kCompaction,         // once
  kGarbageCollection,  // not at all
};

// "Make the page that `key` names as it is at `lsn`, from this image and these records." Everything
// pointed to must live until the answer is there.
struct PageRequest {
  PageKey key;
  Lsn lsn;
  Bytes base_image;  // kBlockSize bytes (kClogTimestampSize more for pg_xact), or empty
  std::span<const PageRecord> records;  // in LSN order
  AttemptKind kind = AttemptKind::kRead;
  std::optional<std::chrono::milliseconds> deadline;  // from the call on; empty: the manager's
};

// kBlockSize bytes; kClogTimestampSize more for a page of pg_xact that has a timestamp.
using PageImage = std::vector<uint8_t>;

// The codes of a request's error:
//
//   kInvalidArgument  The request cannot be right: it has no records, a page-server record without
//                     an image, a key or block that a record does not belong to, and so on.
//   kWorker           The last allowed attempt failed in its worker.
//   kTimeout          The deadline passed, or the worker of the last allowed attempt hung.
//   kUnsupported      Engine::kNative only: the native engine has no code for a record.
//   kCorrupt          Engine::kNative only: a record and its page do not fit.
//   kIo, kNotFound    No worker could be started.
//   kShutdown         The manager takes no more requests.
//
// A message has the key, the range of LSNs, the number of records, their bytes and the attempt. It
// also has what the worker said, and how the worker ended.

// Which severity a line of the log has.
enum class LogLevel { kInfo, kWarning, kError };

// Takes one line without a newline. Called from any thread, also from several at once; it must not
// call the manager.
using LogFunction = std::function<void(LogLevel level, const std::string& line)>;

struct ManagerOptions {
  Engine engine = Engine::kAuto;
  WorkerOptions worker;     // what to launch; `timeout` limits a launch and one answer
  size_t max_workers = 0;   // 0: as many as the process may use processors
  bool warm_spare = false;  // keep one idle worker ready, from construction on
  std::chrono::milliseconds idle_timeout{60'000};  // an idle worker ends after it
  std::chrono::milliseconds deadline{60'000};      // of requests that name none
  // A lone caller's worker runs on the caller's processor, flooded workers on one each.
  bool follow_caller = true;

  std::string capture_dir;  // keep failing requests here; empty: nowhere
  size_t capture_max_files = 100;
  uint64_t capture_max_bytes = 100 << 20;

  std::shared_ptr<MetricsRegistry> metrics;  // any number of managers may share one; null: none
  LogFunction log;                           // empty: no log
};

// One worker at the time of status().
struct WorkerStatus {
  pid_t pid = 0;
  bool starting = false;
  uint64_t answers = 0;
  size_t requests_in_flight = 0;
  size_t bytes_in_flight = 0;
  std::chrono::milliseconds age{0};
  std::chrono::milliseconds idle_for{0};
  int processor = -1;     // the processor it is bound to; -1: the kernel chooses
  SandboxLayers sandbox;  // none for another program (worker.command)
};

// Which engine applied a PostgreSQL record, and why.
enum class RecordWay {
  kNative,       // applied in this process
  kUnsupported,  // to a worker: the native engine has no code for it, or not for that page
  kRefused,      // to a worker: the native engine found that record and page do not fit
  kAlong,        // to a worker: by Engine::kWorker, or with its neighbours of the ways above
};
inline constexpr size_t kRecordWays = 4;

// How many records of one kind went which way. A record applied twice is counted twice.
struct RecordKindCounts {
  std::string rmgr;       // "Heap"
  std::string operation;  // "INSERT+INIT"
  uint64_t counts[kRecordWays] = {};
};

struct ManagerStatus {
  std::vector<WorkerStatus> workers;
  size_t requests = 0;            // being worked on
  size_t waiting = 0;             // of those: for a worker to start
  uint64_t launches = 0;          // since construction
  uint64_t worker_failures = 0;   // workers that ended otherwise than by quiesce or idleness
  uint64_t retries = 0;           // attempts after the first
  uint64_t innocents_resent = 0;  // requests sent again because another's worker failed
  uint64_t failed_requests = 0;
  std::string last_failure;  // of a worker or a launch
  std::vector<RecordKindCounts> records;
};

// Thread-safe. Its threads and processes start and end with its workers. A process that uses it
// must not reap children it did not start.
class RedoManager {
 public:
  explicit RedoManager(ManagerOptions options);
  ~RedoManager();  // Shutdown
  RedoManager(const RedoManager&) = delete;
  RedoManager& operator=(const RedoManager&) = delete;

  // Returns within the request's deadline.
  Result<PageImage> RequestRedo(const PageRequest& request);

  // The same for many at once, spread over the workers; the i-th answer is the i-th request's.
  std::vector<Result<PageImage>> RequestRedoBatch(std::span<const PageRequest> requests);

  // Calls completion exactly once, on a thread of the manager's; or before it returns, when no
  // worker is needed. The completion must be short, may start further requests by this function,
  // and must not wait for the manager (RequestRedo, Quiesce, Shutdown, destruction).
  using Completion = std::function<void(Result<PageImage>)>;
  void RequestRedoAsync(const PageRequest& request, Completion completion);

  // Waits until a worker has answered; launches one if there is none.
  Status Ping();

  ManagerStatus status() const;

  // Ends and reaps the workers that have been idle for at least idle_for. Returns their number.
  size_t Quiesce(std::chrono::milliseconds idle_for);

  // Refuses new requests, waits for those under way, ends and reaps all workers. Afterwards the
  // manager has no process, thread or file descriptor. May be called again.
  void Shutdown();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_MANAGER_H_

// The redo manager: the public face of the library for a page server. It rebuilds pages from a base
// image and records: the page server's own records and PostgreSQL's common ones in this process,
// the rest by PostgreSQL redo workers (processes). One manager is one trust boundary, such as a
// tenant: its workers serve nobody else. docs/manager.md is the guide.
//
// The functions are those of Neon's PostgresRedoManager (request_redo, ping, status, shutdown,
// ...), spelt as this library spells functions.
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

namespace spdlog {
class logger;
}

namespace neon_redo {

class RedoMetrics;  // cpp_core/redo/manager/metrics.h

// A PostgreSQL WAL record, header included.
struct PostgresRecord {
  bool will_init = false;  // it makes the page from nothing
  Bytes record;
};

// One change of the page. lsn is the end of the record it comes from: what the page's LSN becomes.
struct PageRecord {
  Lsn lsn;
  std::variant<PostgresRecord, NativeRecord> record;
};

// Who asks decides how often a request is tried again on another worker after its own has failed.
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

// Why a request could not be answered, beyond Error::code:
//   kInvalidArgument  the request can not be right: no records, a native record without an image, a
//                     key or block that a record does not belong to, …
//   kWorker           the last allowed attempt failed in its worker
//   kTimeout          the deadline passed, or the last allowed attempt's worker hung
//   kUnsupported, kCorrupt  Engine::kNative does not support a record; record and page do not
//   fit kIo, kNotFound    no worker could be started kShutdown         the manager no longer takes
//   requests
// Messages name key, LSN range, record count, bytes, attempt, and what the worker said and how it
// ended.

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

  std::shared_ptr<RedoMetrics> metrics;    // shared by any number of managers; null: none
  std::shared_ptr<spdlog::logger> logger;  // null: no log
};

// One worker, as status() saw it.
struct WorkerStatus {
  pid_t pid = 0;
  bool starting = false;
  uint64_t answers = 0;
  size_t requests_in_flight = 0;
  size_t bytes_in_flight = 0;
  std::chrono::milliseconds age{0};
  std::chrono::milliseconds idle_for{0};
  int processor = -1;     // the one it is held to; -1: the kernel's choice
  SandboxLayers sandbox;  // what confines it; nothing for another program (worker.command)
};

// Which way a PostgreSQL record went, and why.
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

// Thread-safe. The threads and processes that it needs come with its workers and go with them.
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

  // A worker, launched if there is none, answers.
  Status Ping();

  ManagerStatus status() const;

  // Ends the workers that have been idle for at least so long, reaps them, and returns how many.
  size_t Quiesce(std::chrono::milliseconds idle_for);

  // Refuses new requests, lets those under way end, ends and reaps all workers. Afterwards there is
  // no process, thread or descriptor left. May be called again.
  void Shutdown();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_MANAGER_H_

// A redo worker and the client's side of its protocol (docs/protocol.md): the caller gives a base
// image and WAL records, and gets the page. A worker is `postgres --single` with neon.so, in a
// sandbox (docs/security.md).
//
//   neon_redo::RedoWorker worker(neon_redo::WorkerOptions{});
//   std::vector<neon_redo::RedoRecord> records = {{record.end, record.bytes}};
//   uint8_t page[neon_redo::kBlockSize];
//   const neon_redo::Status status = worker.Redo({tag, base_image, records}, page);
#ifndef NEON_REDO_WORKER_H_
#define NEON_REDO_WORKER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/native.h"

namespace neon_redo {

// "Apply these records, in this order, to this image of this block." Without a base image the first
// record must initialise the page. Everything pointed to must live until the call returns.
struct RedoRequest {
  BlockTag tag;
  const uint8_t* base_image;  // kBlockSize bytes, or null
  std::span<const RedoRecord> records;
};

// The layers of a worker's sandbox (docs/security.md). A worker that cannot have a requested layer
// does not start, except that Landlock is left out where the kernel has none.
struct SandboxLayers {
  bool filter = false;      // system calls
  bool landlock = false;    // no file system, no TCP port
  bool namespaces = false;  // user, network, IPC, UTS
};

struct WorkerOptions {
  std::string bindir;  // directories of servers' programs, separated by ':'; empty: usual places
  const pg::Version* version = nullptr;  // which server; null: the module's, else the build's
  std::string command;  // a shell command that speaks the protocol, to run instead of a server;
                        // begin it with "exec" to have no shell in between
  std::vector<std::string> program;  // the same without a shell: absolute path, arguments
  std::string module;                // paths of neon.so, separated by ':'; empty: the installed one
  std::string user;                  // to run as when this process is root; empty: "postgres"
  bool sandbox = true;
  std::optional<bool> landlock;        // a layer of the sandbox; empty: where the kernel has it
  bool namespaces = false;             // another; costs launch time (docs/security.md)
  std::optional<int> memory_limit_mb;  // empty: the module's default
  std::chrono::milliseconds timeout{60'000};  // for one answer, and for the start
  size_t window = 32;                         // requests under way at once in a batch; at least 1
};

// Counts since the object was made.
struct WorkerStatistics {
  uint64_t launches = 0;
  uint64_t answers = 0;   // pages, and answers to pings
  uint64_t failures = 0;  // requests that got an error
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
};

// One worker process, launched at the first request and again after any failure. A failure of the
// worker (death, refusal, timeout, an answer of the wrong length) is an error of the request that
// it failed at, and of no other.
//
// Not thread-safe: one owner at a time; distinct objects are independent. The worker is killed when
// the thread that launched it ends; the next request, from any thread, then launches another. The
// host program must not reap children it did not start.
class RedoWorker {
 public:
  explicit RedoWorker(WorkerOptions options);
  ~RedoWorker();  // ends the worker
  RedoWorker(RedoWorker&&) noexcept;
  RedoWorker& operator=(RedoWorker&&) noexcept;

  // Writes kBlockSize bytes to page_out. After an error they are zeroes.
  // kInvalidArgument: a request no worker could answer. kWorker, kTimeout: the worker's failure;
  // the message says what was asked, what happened and what the worker said. kIo, kNotFound: no
  // worker could be started.
  Status Redo(const RedoRequest& request, uint8_t* page_out);

  // Answers requests[i] in statuses[i] and pages + i * kBlockSize, as Redo would one by one, with
  // up to options.window under way at once. When the worker fails, the unanswered ones under way
  // are sent again to a new one, one at a time, and only a request that fails alone gets an error.
  // When no worker can be started all that are left get that error.
  void RedoBatch(std::span<const RedoRequest> requests, uint8_t* pages, std::span<Status> statuses);

  // Launches the worker now, unless there is one, and waits until it has answered a ping.
  Status Start();

  // Has the worker answer count pings, options.window under way at once.
  Status Ping(size_t count = 1);

  // Ends the worker, if there is one: closes its input, waits a second, kills it.
  void Stop();

  pid_t pid() const;  // 0 when there is none now
  // What confines the worker; nothing when there is none, or when it is another program's
  // (options.command, options.program).
  SandboxLayers sandbox() const;
  // What the worker wrote to its stderr during the last call, at most the last 128 kB.
  std::string stderr_tail() const;
  const WorkerStatistics& statistics() const;

  void set_window(size_t window);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WORKER_H_

// Running one request again, run by run, where everything can be looked at: for captures.
#ifndef NEON_REDO_REDO_MANAGER_REPLAY_H_
#define NEON_REDO_REDO_MANAGER_REPLAY_H_

#include <string>
#include <vector>

#include "neon_redo/manager.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// A run of records of one sort, and what became of the page.
struct ReplayedRun {
  bool native = false;
  std::span<const PageRecord> records;
  PageImage before;  // empty: no page yet
  PageImage after;   // empty after an error
  Status status;
};

// Applies the request's records as a manager would, over its base image, up to the first run that
// fails. The spans are the request's. The worker may be null when the request has no PostgreSQL
// records; not thread-safe.
std::vector<ReplayedRun> Replay(const PageRequest& request, RedoWorker* worker);

// Writes what a worker is sent for a run of PostgreSQL records to a file. kInvalidArgument when it
// cannot be sent, kIo.
Status WriteFrames(const PageKey& key, const ReplayedRun& run, int fd);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_REPLAY_H_

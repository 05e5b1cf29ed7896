// How pages are kept current while WAL goes by: by whom, on how many threads, in how much memory.
#ifndef NEON_REDO_REPLAY_OPTIONS_H_
#define NEON_REDO_REPLAY_OPTIONS_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "neon_redo/native.h"
#include "neon_redo/worker.h"

namespace neon_redo {

struct ReplayOptions {
  Engine engine = Engine::kAuto;
  WorkerOptions worker;  // how to run a worker; none is launched before one is needed
  int jobs = 1;          // threads, each with a worker of its own; at least 1
  // Bytes this process may take; pages are spilled to keep to it. See MemoryForPages.
  uint64_t memory = uint64_t{1} << 30;
  std::string spill_directory = "/tmp";  // where the temporary file for spilled pages is
  bool hints_logged = false;             // Rebuilder::Options::hints_logged
  // No page is known before a record makes it whole (Rebuilder::Options::base).
  bool without_bases = false;
};

// What pages, and what is known of each block, may take of the memory. The rest is for the program
// itself, for each job's queue of records and its partitions' batches for the worker, and for the
// batches of records that are being filled (a sixteenth, and what it takes to find them).
inline uint64_t MemoryForPages(const ReplayOptions& options) {
  const uint64_t others =
      (uint64_t{24} << 20) * (1 + static_cast<uint64_t>(options.jobs)) + options.memory / 12;
  return std::max(options.memory / 2, options.memory - std::min(options.memory, others));
}

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_OPTIONS_H_

#ifndef NEON_REDO_VERIFY_OPTIONS_H_
#define NEON_REDO_VERIFY_OPTIONS_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "cpp_core/base/error.h"
#include "cpp_core/redo/engine.h"
#include "cpp_core/redo/worker/worker_process.h"
#include "cpp_core/verify/result.h"

namespace neon_redo {

struct VerifyOptions {
  std::string wal;  // directory of segments
  Engine engine = Engine::kAuto;
  WorkerOptions worker;       // how to run a worker; none is run before one is needed
  int jobs = 1;               // threads, each with a worker of its own; at least 1
  ProgressFunction progress;  // called on the caller's thread, often; may be empty
  // Bytes this process may take; pages are spilled to keep to it. See MemoryForPages.
  uint64_t memory = uint64_t{1} << 30;
  std::string spill_directory = "/tmp";
};

// What pages, and what is known of each block, may take of the memory: the rest is for the program
// itself, for each job's queue of records and its partitions' batches for the worker, and for the
// batches of records that are being filled (a sixteenth, and what it takes to find them).
inline uint64_t MemoryForPages(const VerifyOptions& options) {
  const uint64_t others =
      (uint64_t{24} << 20) * (1 + static_cast<uint64_t>(options.jobs)) + options.memory / 12;
  return std::max(options.memory / 2, options.memory - std::min(options.memory, others));
}

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_OPTIONS_H_

#ifndef NEON_REDO_VERIFY_OPTIONS_H_
#define NEON_REDO_VERIFY_OPTIONS_H_

#include <cstdint>
#include <string>

#include "cpp_core/base/error.h"
#include "cpp_core/redo/worker_process.h"
#include "cpp_core/verify/result.h"

namespace neon_redo {

struct VerifyOptions {
  std::string wal;            // directory of segments
  WorkerOptions worker;       // how to run the engine
  int jobs = 1;               // workers at once; at least 1
  ProgressFunction progress;  // called on the caller's thread, often; may be empty
  // WAL records kept in memory before the pages they belong to are rebuilt in between.
  uint64_t pending_limit = uint64_t{256} << 20;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_OPTIONS_H_

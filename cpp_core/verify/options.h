#ifndef NEON_REDO_VERIFY_OPTIONS_H_
#define NEON_REDO_VERIFY_OPTIONS_H_

#include <cstdint>
#include <string>

#include "cpp_core/base/error.h"
#include "cpp_core/redo/engine.h"
#include "cpp_core/redo/worker_process.h"
#include "cpp_core/verify/result.h"

namespace neon_redo {

struct VerifyOptions {
  std::string wal;  // directory of segments
  Engine engine = Engine::kAuto;
  WorkerOptions worker;                 // how to run a worker; none is run before one is needed
  int jobs = 1;                         // threads, each with a worker of its own; at least 1
  ProgressFunction progress;            // called on the caller's thread, often; may be empty
  uint64_t memory = uint64_t{1} << 30;  // bytes of pages to hold; more are spilled
  std::string spill_directory = "/tmp";
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_OPTIONS_H_

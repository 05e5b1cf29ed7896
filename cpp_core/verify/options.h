// The part of a verification's options that a replay has.
#ifndef NEON_REDO_VERIFY_OPTIONS_H_
#define NEON_REDO_VERIFY_OPTIONS_H_

#include "cpp_core/replay/options.h"
#include "neon_redo/verify.h"

namespace neon_redo {

inline ReplayOptions ReplayOptionsOf(const VerifyOptions& options) {
  return {options.engine, options.worker,          options.jobs,
          options.memory, options.spill_directory, false};
}

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_OPTIONS_H_

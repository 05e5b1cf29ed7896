// Looks at a cluster that a server runs on, until nothing is left to look at.
#ifndef NEON_REDO_VERIFY_RUNNING_LOOKS_H_
#define NEON_REDO_VERIFY_RUNNING_LOOKS_H_

#include <functional>
#include <memory>

#include "cpp_core/verify/cluster_inputs.h"
#include "cpp_core/verify/running.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// One pass over the WAL, and the comparison with what it leaves.
class ClusterLook {
 public:
  virtual ~ClusterLook() = default;
  // What was found, in no order and without names.
  virtual Result<VerifyResult> Run() = 0;
  // Puts it in order, and names it.
  virtual Status Describe(VerifyResult* result) const = 0;
};
// Makes a look. first: the one that has read the base backup; null: this is it.
using MakeLook = std::function<std::unique_ptr<ClusterLook>(
    ClusterInputs inputs, RunningServer* server, const ClusterLook* first)>;

// inputs: of a cluster that a server runs on. Errors: as VerifyBackup.
Result<VerifyResult> VerifyRunning(const VerifyOptions& options, ClusterInputs inputs,
                                   const MakeLook& make);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_RUNNING_LOOKS_H_

#include "cpp_core/verify/running_looks.h"

#include <chrono>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

Result<VerifyResult> VerifyRunning(const VerifyOptions& options, ClusterInputs inputs,
                                   const MakeLook& make) {
  const BaseBackup& base = inputs.base;
  const BaseBackup& data = *inputs.data;
  ASSIGN_OR_RETURN(const auto server, RunningServer::Find(data));
  const auto first = make(std::move(inputs), server.get(), nullptr);
  ASSIGN_OR_RETURN(VerifyResult result, first->Run());
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::duration_cast<std::chrono::milliseconds>(options.patience);
  std::unique_ptr<ClusterLook> last;
  while (server->next() != RunningServer::Next::kNothing) {
    ASSIGN_OR_RETURN(const bool is_ready, server->Await(deadline, options.progress));
    if (!is_ready) break;
    ASSIGN_OR_RETURN(ClusterInputs again, ReadClusterInputs(options, base, &data));
    if (!again.running) RETURN_IF_ERROR(server->CheckStillRuns());
    last = make(std::move(again), server.get(), first.get());
    ASSIGN_OR_RETURN(VerifyResult look, last->Run());
    AddLook(std::move(look), &result);
  }
  server->Finish(&result);
  RETURN_IF_ERROR((last ? last : first)->Describe(&result));
  return result;
}

}  // namespace neon_redo

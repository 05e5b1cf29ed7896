#include "cpp_core/verify/running_looks.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// A server removes segments once it has archived them.
Result<VerifyResult> RunLook(const BaseBackup& data, ClusterLook* look) {
  auto result = look->Run();
  if (result) return result;
  Error& error = result.error();
  const bool is_about_wal =
      (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kCorrupt) &&
      error.message.find("WAL") != std::string::npos;
  if (is_about_wal)
    error.message += fmt::format(
        " (the server that runs on {} removes WAL from its pg_wal: --wal must name the archive)",
        data.path());
  return result;
}

}  // namespace

Result<VerifyResult> VerifyRunning(const VerifyOptions& options, ClusterInputs inputs,
                                   const MakeLook& make) {
  const BaseBackup& base = inputs.base;
  const BaseBackup& data = *inputs.data;
  ASSIGN_OR_RETURN(const auto server, RunningServer::Find(data));
  const auto first = make(std::move(inputs), server.get(), nullptr);
  ASSIGN_OR_RETURN(VerifyResult result, RunLook(data, first.get()));
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::duration_cast<std::chrono::milliseconds>(options.patience);
  std::unique_ptr<ClusterLook> last;
  while (server->next() != RunningServer::Next::kNothing) {
    ASSIGN_OR_RETURN(const bool is_ready, server->Await(deadline, options.progress));
    if (!is_ready) break;
    ASSIGN_OR_RETURN(ClusterInputs again, ReadClusterInputs(options, base, &data));
    if (!again.running) RETURN_IF_ERROR(server->CheckStillRuns());
    last = make(std::move(again), server.get(), first.get());
    ASSIGN_OR_RETURN(const VerifyResult look, RunLook(data, last.get()));
    AddLook(look, &result);
  }
  server->Finish(&result);
  RETURN_IF_ERROR((last ? last : first)->Describe(&result));
  return result;
}

}  // namespace neon_redo

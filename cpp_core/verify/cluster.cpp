#include "cpp_core/verify/cluster.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "cpp_core/backup/limited_backup.h"
#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/verify/cluster_verifier.h"

namespace neon_redo {
namespace {

Result<VerifyResult> VerifyInputs(const VerifyOptions& options, ClusterInputs inputs,
                                  LedgerRun* ledger, const WantedPages* wanted) {
  const auto make = [&options, wanted](ClusterInputs of_look, RunningServer* server,
                                       const ClusterLook* first) {
    return std::make_unique<ClusterVerifier>(options, std::move(of_look), nullptr, server,
                                             static_cast<const ClusterVerifier*>(first), wanted);
  };
  if (inputs.running) return VerifyRunning(options, std::move(inputs), make);
  ClusterVerifier verifier(options, std::move(inputs), ledger, nullptr, nullptr, wanted);
  ASSIGN_OR_RETURN(VerifyResult result, verifier.Run());
  RETURN_IF_ERROR(verifier.Describe(&result));
  return result;
}

}  // namespace

Result<std::unique_ptr<BaseBackup>> OpenComparedWith(const std::string& path,
                                                     const BaseBackupOptions& options) {
  ASSIGN_OR_RETURN(const bool is_there, IsDirectory(path, Links::kFollow));
  ASSIGN_OR_RETURN(const bool is_plain, IsDirectory(path + "/global", Links::kFollow));
  if (is_plain || !is_there) return DataDirectory(path);
  auto backup = OpenBaseBackup(path, options);
  if (!backup) backup.error().message += " (is this a data directory?)";
  return backup;
}

Result<VerifyResult> VerifyBackup(const VerifyOptions& options, const BaseBackup& base,
                                  const BaseBackup* data, const WantedPages* wanted) {
  if (wanted != nullptr && (data == nullptr || !options.ledger.empty()))
    return MakeError(ErrorCode::kInvalidArgument,
                     "some pages only are compared with a data directory, and without a ledger");
  if (data != nullptr && (options.until_lsn || options.until_time))
    return MakeError(ErrorCode::kInvalidArgument,
                     "replay to a target cannot be compared with a data directory");
  RETURN_IF_ERROR(CheckLedgerOptions(options, data != nullptr));
  return Guarded([&]() -> Result<VerifyResult> {
    const auto started = std::chrono::steady_clock::now();
    std::optional<RateLimit> limit;
    std::unique_ptr<BaseBackup> limited_base, limited_data;
    if (options.max_rate > 0) {
      limit.emplace(options.max_rate);
      limited_base = LimitRate(base, &*limit);
      if (data != nullptr) limited_data = LimitRate(*data, &*limit);
    }
    const BaseBackup& read = limit ? *limited_base : base;
    const auto verify = [&options, wanted](ClusterInputs inputs, LedgerRun* ledger) {
      return VerifyInputs(options, std::move(inputs), ledger, wanted);
    };
    Result<VerifyResult> result;
    if (options.ledger.empty()) {
      ASSIGN_OR_RETURN(auto inputs,
                       ReadClusterInputs(options, read, limited_data ? limited_data.get() : data));
      result = verify(std::move(inputs), nullptr);
    } else {
      result = VerifyWithLedger(options, read, verify);
    }
    if (!result) return result;
    result->elapsed_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return result;
  });
}

Result<VerifyResult> VerifyCluster(const VerifyOptions& options, const std::string& base_backup,
                                   const std::string& data_directory) {
  const BaseBackupOptions opening{.spool_directory = options.spill_directory,
                                  .awaits_age = !options.ledger.empty()};
  ASSIGN_OR_RETURN(const auto base, OpenBaseBackup(base_backup, opening));
  std::unique_ptr<BaseBackup> data;
  if (!data_directory.empty()) {
    ASSIGN_OR_RETURN(data, OpenComparedWith(data_directory, opening));
  }
  return VerifyBackup(options, *base, data.get());
}

}  // namespace neon_redo

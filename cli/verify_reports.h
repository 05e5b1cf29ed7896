// The files that verify writes its report to: --report and --report-key.
#ifndef NEON_REDO_CLI_VERIFY_REPORTS_H_
#define NEON_REDO_CLI_VERIFY_REPORTS_H_

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/report_facts.h"
#include "cli/report_signature.h"
#include "neon_redo/error.h"

namespace neon_redo::cli {

struct ReportArguments {
  std::vector<std::string> files;  // none: no report
  std::string key;                 // empty: not signed
};
void AddReportOptions(Options* options, ReportArguments* arguments);

// Not thread-safe.
class VerifyReports {
 public:
  // Before the work. Errors: a file cannot be written, or the key cannot be used.
  static Result<VerifyReports> Open(const ReportArguments& arguments);

  // Of the backup, of the cluster and of the options: to be set before the work.
  ReportFacts& facts() { return facts_; }
  // Writes each report, whole or not at all, and after each its signature (FILE.sig). The error is that of
  // the first file that could not be written.
  Status Write(const ReportedRun& run);

 private:
  Status WriteOne(const std::string& path, const std::string& text) const;

  std::vector<std::string> files_;
  std::optional<ReportSigner> signer_;
  ReportFacts facts_;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_VERIFY_REPORTS_H_

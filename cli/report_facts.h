// What a report of verify says beyond the result: who checked what, when, where and how.
#ifndef NEON_REDO_CLI_REPORT_FACTS_H_
#define NEON_REDO_CLI_REPORT_FACTS_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/failure.h"
#include "cli/verify_report.h"
#include "cpp_core/backup/base_backup.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/verify/data_directory.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

// A base backup or a cluster, by its own pg_control and backup_label.
struct DirectoryIdentity {
  std::string given;  // as the command line has it
  std::string path;   // absolute, without links; `given` if there is no such directory
  std::optional<ControlData> control;  // none: see problem
  std::optional<BackupLabel> label;    // none: it has no backup_label, or see problem
  std::string problem;                 // why one of them could not be read; empty: nothing
};
// opened: the directory, or why it could not be opened.
DirectoryIdentity IdentityOf(const std::string& given,
                             const Result<std::unique_ptr<BaseBackup>>& opened);

struct ReportSignature {
  std::string algorithm;   // "Ed25519"
  std::string key_sha256;  // of the public key in DER form, in hexadecimal digits
};

// Names and values; values as the command line has them, or the defaults.
using ReportOptions = std::vector<std::pair<std::string, std::string>>;

struct ReportFacts {
  std::string started, ended;  // "2024-05-31T14:00:00Z"
  std::string host, system, user, working_directory;
  std::vector<std::string> command_line;
  ReportOptions options;
  std::optional<DirectoryIdentity> backup, cluster;
  std::optional<ReportSignature> signature;  // none: the report is not signed
};

// Of this process, as of now, without what the command knows itself.
ReportFacts FactsOfProcess();
// The time in UTC.
std::string TimeNow();

// What became of the verification. Either result, with report, or failure is not null. All outlive the
// object.
struct ReportedRun {
  const VerifyReport* report = nullptr;
  const VerifyResult* result = nullptr;
  const Failure* failure = nullptr;

  // The exit status.
  int status() const;
  // In a few words: "Damage found", "No damage found", "No damage found in what was checked" or "Not verified".
  const char* verdict() const;
  // In whole sentences.
  std::string summary() const;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_FACTS_H_

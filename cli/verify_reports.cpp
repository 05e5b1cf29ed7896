#include "cli/verify_reports.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "cli/report_html.h"
#include "cli/report_json.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo::cli {

namespace {

constexpr const char* kSignatureSuffix = ".sig";

bool IsPage(const std::string& path) { return path.ends_with(".html"); }

Bytes BytesOfText(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// The file can be written later on, as far as that can be known now. What has the name stays.
Status TryToWrite(const std::string& path) {
  const SplitPath split(path);
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(split.parent));
  struct stat st;
  if (lstat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode))
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("could not write report \"{}\": it is {}", path, FileKindName(st)));
  const std::string temporary = split.name + ".tmp";
  ASSIGN_OR_RETURN(FileDescriptor file, directory.CreateFile(temporary));
  file.Reset();
  return directory.Remove(temporary);
}

}  // namespace

void AddReportOptions(Options* options, ReportArguments* arguments) {
  options->Value(
      "--report=FILE",
      [arguments](const std::string& text) -> Status {
        if (!text.ends_with(".json") && !text.ends_with(".html"))
          return MakeError(ErrorCode::kInvalidArgument, "its name must end with .json or .html");
        arguments->files.push_back(text);
        return {};
      },
      "write a report of the verification to this file, whatever was found: as JSON if its name ends "
      "with .json, as a page for people with .html; can be repeated");
  options
      ->Path("--report-key=FILE", &arguments->key,
             "sign each report with this private key (PEM, Ed25519 or RSA): the signature goes to "
             "REPORT.sig")
      .Needs("--report");
}

Result<VerifyReports> VerifyReports::Open(const ReportArguments& arguments) {
  VerifyReports reports;
  reports.files_ = arguments.files;
  if (arguments.files.empty()) return reports;
  reports.facts_ = FactsOfProcess();
  if (!arguments.key.empty()) {
    ASSIGN_OR_RETURN(reports.signer_, ReportSigner::Open(arguments.key));
    reports.facts_.signature = reports.signer_->description();
  }
  for (const std::string& path : arguments.files) {
    RETURN_IF_ERROR(TryToWrite(path));
    if (reports.signer_) RETURN_IF_ERROR(TryToWrite(path + kSignatureSuffix));
  }
  return reports;
}

Status VerifyReports::WriteOne(const std::string& path, const std::string& text) const {
  if (!signer_) return WriteFileDurably(path, BytesOfText(text));
  // First: a new report beside the signature of an older one would look like a forged one.
  ASSIGN_OR_RETURN(const std::string signature, signer_->Sign(BytesOfText(text)));
  RETURN_IF_ERROR(WriteFileDurably(path, BytesOfText(text)));
  return WriteFileDurably(path + kSignatureSuffix, BytesOfText(signature));
}

Status VerifyReports::Write(const ReportedRun& run) {
  facts_.ended = TimeNow();
  Status first;
  for (const std::string& path : files_) {
    const Status done =
        WriteOne(path, IsPage(path) ? ReportHtml(run, facts_, path) : ReportJson(run, facts_));
    if (first && !done) first = done;
  }
  return first;
}

}  // namespace neon_redo::cli

// The report of verify as one page of HTML that needs nothing else: no script, no file, no network.
#ifndef NEON_REDO_CLI_REPORT_HTML_H_
#define NEON_REDO_CLI_REPORT_HTML_H_

#include <string>

#include "cli/report_facts.h"

namespace neon_redo::cli {

// file: where the page will be, for the command that proves its signature.
std::string ReportHtml(const ReportedRun& run, const ReportFacts& facts, const std::string& file);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_HTML_H_

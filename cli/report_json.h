// The report of verify as JSON. docs/report.schema.json is its schema.
#ifndef NEON_REDO_CLI_REPORT_JSON_H_
#define NEON_REDO_CLI_REPORT_JSON_H_

#include <string>

#include "cli/report_facts.h"

namespace neon_redo::cli {

// What PrintVerifyJson prints, after what the report adds.
std::string ReportJson(const ReportedRun& run, const ReportFacts& facts);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_JSON_H_

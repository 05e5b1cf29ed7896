// Which WAL a verification has read, why there was no more, and what the check covered.
#ifndef NEON_REDO_CLI_VERIFY_COVERAGE_H_
#define NEON_REDO_CLI_VERIFY_COVERAGE_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/verify_report.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

// The first lines of the report.
void PrintWal(const VerifyResult& result);
// What the check compared and rebuilt, and what it left out.
void PrintCoverage(const VerifyReport& report, const VerifyResult& result);

// The items of both, without a full stop.
std::vector<std::string> Covered(const VerifyReport& report, const VerifyResult& result);
std::vector<std::string> NotCovered(const VerifyReport& report, const VerifyResult& result);

// The same for JSON. The first adds members to an object.
void AddWal(const VerifyResult& result, nlohmann::ordered_json* out);
nlohmann::ordered_json CoverageJson(const VerifyReport& report, const VerifyResult& result);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_VERIFY_COVERAGE_H_

// What the reports of verify say of a ledger.
#ifndef NEON_REDO_CLI_LEDGER_REPORT_H_
#define NEON_REDO_CLI_LEDGER_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "neon_redo/verify.h"

namespace neon_redo::cli {

// "1,234 files of the backup and 56 segments of WAL, proven on 2024-05-31 14:00:00 UTC up to 0/3A1F0000"
std::string ReliedOn(const LedgerUse& use);

// In whole sentences. now: seconds since 1970-01-01 UTC.
std::vector<std::string> LedgerSentences(const LedgerUse& use, int64_t now);

// file: as the command line has it; empty: there is no ledger, and the result is null.
nlohmann::ordered_json LedgerJson(const std::string& file, const LedgerUse& use);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_LEDGER_REPORT_H_

// What verify says of a cluster that a server ran on.
#ifndef NEON_REDO_CLI_VERIFY_RUNNING_H_
#define NEON_REDO_CLI_VERIFY_RUNNING_H_

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/options.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

// --against-dbname, --patience and --max-rate. patience is left alone if it is not given.
void AddRunningOptions(Options* options, std::string* against_dbname,
                       std::chrono::duration<double>* patience, uint64_t* max_rate);

// The data directory of the server that this connection string leads to, by a Unix socket: its files are
// read on this machine. Errors: as Connection's; kInvalidArgument: it is reached by TCP.
Result<std::string> DataDirectoryOf(const std::string& conninfo);

// All are empty, print nothing or are null if no server ran.
void PrintLooks(const VerifyResult& result);
nlohmann::ordered_json RunningJson(const VerifyResult& result);
// An item of what was covered.
std::string RunningCoverage(const VerifyResult& result);
// A sentence of the last line, with a space before it.
std::string RunningVerdict(const VerifyResult& result);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_VERIFY_RUNNING_H_

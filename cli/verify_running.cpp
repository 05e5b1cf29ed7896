#include "cli/verify_running.h"

#include <fmt/format.h>

#include <sys/socket.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "cli/grouped.h"
#include "cli/verify_report.h"
#include "cpp_core/base/number.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal_client/connection.h"

namespace neon_redo::cli {

namespace {

using RunningObject = nlohmann::ordered_json;

uint64_t Left(const VerifyResult& r) { return r.running->looks.back().undecided; }

std::string Pages(uint64_t n) {
  return fmt::format("{} {}", Grouped(n), n == 1 ? "page" : "pages");
}

// As pg_basebackup's --max-rate, whose limits it has: kilobytes if there is no suffix.
Result<uint64_t> ParseRate(std::string_view text) {
  constexpr uint64_t kLeast = 32, kMost = 1024 * 1024;
  const char suffix = text.empty() ? '\0' : text.back();
  if (suffix == 'k' || suffix == 'M') text.remove_suffix(1);
  const uint64_t factor = suffix == 'M' ? 1024 : 1;
  const auto number = ParseInteger(text, 0, kMost);
  if (!number || *number * factor < kLeast || *number * factor > kMost)
    return MakeError(ErrorCode::kInvalidArgument,
                     "it must be from 32k to 1024M, in kilobytes (also with k) or megabytes (M) a "
                     "second");
  return *number * factor * 1024;
}

}  // namespace

Result<std::string> DataDirectoryOf(const std::string& conninfo) {
  constexpr std::chrono::seconds kTimeout{30};
  const CancelSignal cancel;  // SIGINT ends the program
  ServerError error;
  ASSIGN_OR_RETURN(const auto connection, Connection::Open({.conninfo = conninfo}, cancel, &error));
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const bool is_known =
      getsockname(connection->socket(), reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!is_known || address.ss_family != AF_UNIX)
    return MakeError(ErrorCode::kInvalidArgument,
                     "--against-dbname must lead to a Unix socket (host=/var/run/postgresql), "
                     "since the server's files are read on this machine");
  ASSIGN_OR_RETURN(const auto rows, connection->Execute("SHOW data_directory", 1, kTimeout));
  if (rows.empty() || !rows[0][0])
    return MakeError(ErrorCode::kIo, "the server does not say where its data directory is");
  return *rows[0][0];
}

void AddRunningOptions(Options* options, std::string* against_dbname,
                       std::chrono::duration<double>* patience, uint64_t* max_rate) {
  options->Text(
      "--against-dbname=CONNSTR", against_dbname,
      "instead of --against: connection string of a server on this machine, which is asked for "
      "its data directory as a walsender (a superuser, or a user with REPLICATION and "
      "pg_read_all_settings)");
  options->Duration(
      "--patience=DURATION", patience, kNoTime,
      "with a running server: how long to look again, after each of its checkpoints, at pages that it "
      "had changed since the one before, such as 90s or 1h (default: 10min)");
  options->Value(
      "--max-rate=RATE",
      [max_rate](const std::string& text) -> Status {
        ASSIGN_OR_RETURN(*max_rate, ParseRate(text));
        return {};
      },
      "read the files of the base backup and of --against no faster than this, in kilobytes a "
      "second, or with a suffix k or M: 50M. WAL is read, and packed files are unpacked, without a "
      "limit");
}

void PrintLooks(const VerifyResult& r) {
  if (!r.running) return;
  fmt::print("\nThe {} ran meanwhile:\n", r.running->is_standby ? "standby" : "server");
  for (const RunningCluster::Look& look : r.running->looks)
    fmt::print("  {:>12} pages compared as of {}, with WAL to {}; {} left undecided\n",
               Grouped(look.compared), look.settled.ToString(), look.wal_end.ToString(),
               Grouped(look.undecided));
}

nlohmann::ordered_json RunningJson(const VerifyResult& r) {
  if (!r.running) return nullptr;
  auto looks = RunningObject::array();
  for (const RunningCluster::Look& look : r.running->looks)
    looks.push_back({{"settled_lsn", look.settled.ToString()},
                     {"wal_end_lsn", look.wal_end.ToString()},
                     {"pages_compared", look.compared},
                     {"undecided", look.undecided}});
  return {
      {"is_standby", r.running->is_standby}, {"looks", std::move(looks)}, {"undecided", Left(r)}};
}

std::string RunningCoverage(const VerifyResult& r) {
  if (!r.running) return "";
  std::vector<std::string> points;
  for (const RunningCluster::Look& look : r.running->looks)
    points.push_back(
        fmt::format("{} ({} left undecided)", look.settled.ToString(), Pages(look.undecided)));
  return fmt::format(
      "a {} that ran meanwhile, as of its {} at {}", r.running->is_standby ? "standby" : "server",
      r.running->is_standby ? "restartpoints" : "checkpoints", fmt::join(points, ", "));
}

std::string RunningVerdict(const VerifyResult& r) {
  if (!r.running || Left(r) == 0) return "";
  return fmt::format(" Left undecided: {} that changed all the time while the server ran.",
                     Pages(Left(r)));
}

}  // namespace neon_redo::cli

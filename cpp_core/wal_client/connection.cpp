// Everything runs on libpq's asynchronous functions, with our own poll: that is what lets a wait
// end by a cancellation or a deadline.
//
// libpq gives the SQLSTATE of a failed query, but not that of a refused connection. There it is
// read from the message, which verbose error reporting starts with "FATAL:  28P01: ".
#include "cpp_core/wal_client/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cpp_core/base/deadline.h"
#include "cpp_core/base/try.h"
#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

using Clock = std::chrono::steady_clock;

// libpq's messages end in a newline and may have several lines. The server's words are in them, and
// whatever answers before TLS has its own.
std::string OneLine(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\t') continue;
    out.push_back(c == '\n' ? ' ' : c);
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return Printable(out);
}

bool IsSqlState(std::string_view text) {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
         });
}

// Takes apart a verbose message: "...FATAL:  28P01: text\nHINT:  ...\nLOCATION:  f, file.c:1\n".
// Returns what a person should read.
std::string ReadVerbose(std::string_view text, ServerError* out) {
  std::string shown;
  while (!text.empty()) {
    const size_t newline = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, newline));
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (line.starts_with("LOCATION:  ")) continue;
    if (line.starts_with("DETAIL:  ")) out->detail = line.substr(9);
    if (line.starts_with("HINT:  ")) out->hint = line.substr(7);
    const size_t colon = line.find(":  ");
    if (colon != std::string::npos && line.size() > colon + 10 &&
        IsSqlState(std::string_view(line).substr(colon + 3, 5)) && line[colon + 8] == ':') {
      out->sqlstate = line.substr(colon + 3, 5);
      out->message = line.substr(colon + 10);
      line.erase(colon + 3, 7);
      line += fmt::format(" (SQLSTATE {})", out->sqlstate);
    }
    shown += line + "\n";
  }
  return OneLine(shown);
}

std::string Field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text ? text : "";
}

// conninfo's own settings, ours beneath or above them as each demands.
Result<ConnectParameters> MakeParameters(const ConnectOptions& options) {
  char* message = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(options.conninfo.c_str(), &message);
  if (!parsed) {
    const std::string text = OneLine(message ? message : "out of memory");
    PQfreemem(message);
    // Not shown itself: it may hold a password.
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the connection string is not valid: {}", text));
  }
  ConnectParameters out;
  for (const PQconninfoOption* o = parsed; o->keyword; o++)
    if (o->val) out.Set(o->keyword, o->val);
  PQconninfoFree(parsed);
  out.own_server = options.own_server;
  out.Set("replication", options.logical ? "database" : "true");
  // A physical walsender has no database; this name is what .pgpass entries for it use.
  if (!options.logical && !out.Has("dbname")) out.Set("dbname", "replication");
  out.Set("fallback_application_name", options.application_name);
  // The plug-in's text is for JSON.
  if (options.logical) out.Set("client_encoding", "UTF8");
  return out;
}

}  // namespace

bool ServerError::transient() const {
  if (sqlstate.size() != 5) return false;
  const std::string_view code = sqlstate;
  return code.starts_with("08") ||  // connection exception
         code.starts_with("53") ||  // insufficient resources
         code == "55006" ||         // object in use: the slot's last user is not gone yet
         code == "57P01" || code == "57P02" || code == "57P03" || code == "57P05";
}

void Connection::ResultDeleter::operator()(pg_result* result) const { PQclear(result); }

Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::Open(const ConnectOptions& options,
                                                     const CancelSignal& cancel,
                                                     ServerError* server_error) {
  *server_error = {};
  ASSIGN_OR_RETURN(const auto parameters, MakeParameters(options));
  ASSIGN_OR_RETURN(auto handle, ConnectToServer(parameters, options.connect_timeout, cancel));
  std::unique_ptr<Connection> out(new Connection(std::move(handle), cancel));
  const Status done = out->SetUp();
  if (!done) {
    *server_error = out->server_error_;
    return tl::unexpected(done.error());
  }
  return out;
}

Status Connection::SetUp() {
  if (PQstatus(handle()) == CONNECTION_BAD)
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not connect: {}",
                                 ReadVerbose(PQerrorMessage(handle()), &server_error_)));
  PQsetErrorVerbosity(handle(), PQERRORS_DEFAULT);
  encrypted_ = PQsslInUse(handle()) != 0 || PQgssEncInUse(handle()) != 0;
  if (PQsetnonblocking(handle(), 1) != 0) return Fail("could not set the connection up");
  return {};
}

Status Connection::Wait(short events, Clock::time_point deadline) {
  for (;;) {
    std::array<pollfd, 2> fds{{{PQsocket(handle()), events, 0}, {cancel_.fd(), POLLIN, 0}}};
    if (fds[0].fd < 0) return MakeError(ErrorCode::kIo, "the connection is closed");
    const int n = poll(fds.data(), fds.size(), PollTimeout(deadline));
    if (n < 0 && errno != EINTR)
      return MakeError(ErrorCode::kIo, fmt::format("could not wait: {}", strerror(errno)));
    if (n > 0 && fds[1].revents) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (n > 0) return {};
    if (Clock::now() >= deadline)
      return MakeError(ErrorCode::kTimeout, "the server did not answer in time");
  }
}

Status Connection::Flush(Clock::time_point deadline) {
  for (;;) {
    const int left = PQflush(handle());
    if (left == 0) return {};
    if (left < 0) return Fail("could not send to the server");
    // libpq wants its input drained while output is stuck, lest both sides wait.
    RETURN_IF_ERROR(Wait(POLLIN | POLLOUT, deadline));
    if (!PQconsumeInput(handle())) return Fail("could not receive from the server");
  }
}

Result<Connection::PgResult> Connection::NextResult(Clock::time_point deadline) {
  while (PQisBusy(handle())) {
    RETURN_IF_ERROR(Wait(POLLIN, deadline));
    if (!PQconsumeInput(handle())) return Fail("the connection to the server was lost");
  }
  return PgResult(PQgetResult(handle()));
}

void Connection::Discard(Clock::time_point deadline) {
  const ServerError kept = server_error_;
  for (;;) {
    const auto result = NextResult(deadline);
    // Null: the server is ready for another command.
    if (!result || !*result || PQresultStatus(result->get()) != PGRES_FATAL_ERROR) break;
  }
  server_error_ = kept;
}

Result<Connection::PgResult> Connection::ExecuteForStatus(const std::string& command,
                                                          std::chrono::milliseconds timeout) {
  server_error_ = {};
  const Clock::time_point deadline = DeadlineAfter(timeout);
  if (!PQsendQuery(handle(), command.c_str())) return Fail("could not send a command");
  RETURN_IF_ERROR(Flush(deadline));
  return NextResult(deadline);
}

Result<std::vector<CommandRow>> Connection::Execute(const std::string& command, size_t min_columns,
                                                    std::chrono::milliseconds timeout) {
  const std::string_view name = std::string_view(command).substr(0, command.find(' '));
  ASSIGN_OR_RETURN(auto first, ExecuteForStatus(command, timeout));
  std::vector<CommandRow> rows;
  const Clock::time_point deadline = DeadlineAfter(timeout);
  for (PgResult result = std::move(first); result;) {
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      const auto refused = Fail(name, result.get());
      if (status == PGRES_FATAL_ERROR) Discard(deadline);
      return refused;
    }
    if (status == PGRES_TUPLES_OK) {
      const int columns = PQnfields(result.get());
      rows.clear();
      for (int i = 0; i < PQntuples(result.get()); i++) {
        CommandRow row;
        for (int j = 0; j < columns; j++) {
          if (PQgetisnull(result.get(), i, j)) {
            row.emplace_back();
          } else {
            row.emplace_back(std::string(PQgetvalue(result.get(), i, j),
                                         static_cast<size_t>(PQgetlength(result.get(), i, j))));
          }
        }
        if (row.size() < min_columns)
          return MakeError(ErrorCode::kUnsupported,
                           fmt::format("{}: the server answered {} columns instead of {}", name,
                                       row.size(), min_columns));
        rows.push_back(std::move(row));
      }
    }
    ASSIGN_OR_RETURN(auto next, NextResult(deadline));
    result = std::move(next);
  }
  return rows;
}

tl::unexpected<Error> Connection::Fail(std::string_view doing, const pg_result* result) {
  server_error_ = {};
  if (result && PQresultStatus(result) == PGRES_FATAL_ERROR) {
    server_error_ = {Field(result, PG_DIAG_SQLSTATE), Field(result, PG_DIAG_MESSAGE_PRIMARY),
                     Field(result, PG_DIAG_MESSAGE_DETAIL), Field(result, PG_DIAG_MESSAGE_HINT)};
  }
  if (server_error_.sqlstate.empty()) {
    const std::string said = OneLine(PQerrorMessage(handle()));
    if (result && said.empty())
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("{}: the server answered {}, which was not expected", doing,
                                   PQresStatus(PQresultStatus(result))));
    return MakeError(ErrorCode::kIo, fmt::format("{}: {}", doing, said));
  }
  std::string text = fmt::format("{}: {} (SQLSTATE {})", doing, OneLine(server_error_.message),
                                 server_error_.sqlstate);
  if (!server_error_.detail.empty()) text += "; detail: " + OneLine(server_error_.detail);
  if (!server_error_.hint.empty()) text += "; hint: " + OneLine(server_error_.hint);
  const std::string& code = server_error_.sqlstate;
  const bool missing = code == "42704" || code == "58P01";  // undefined object, undefined file
  return MakeError(missing ? ErrorCode::kNotFound : ErrorCode::kIo, std::move(text));
}

int Connection::socket() const { return PQsocket(handle()); }
int Connection::server_version() const { return PQserverVersion(handle()); }

namespace {
std::string Quote(std::string_view text, char quote) {
  std::string out(1, quote);
  for (char c : text) {
    if (c == quote) out.push_back(quote);
    out.push_back(c);
  }
  out.push_back(quote);
  return out;
}
}  // namespace

std::string QuoteReplicationIdentifier(std::string_view name) { return Quote(name, '"'); }
std::string QuoteReplicationLiteral(std::string_view text) { return Quote(text, '\''); }

}  // namespace neon_redo

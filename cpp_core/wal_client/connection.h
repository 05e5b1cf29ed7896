// One libpq connection in replication mode: connect, run a replication command, tell what failed.
#ifndef NEON_REDO_WAL_CLIENT_CONNECTION_H_
#define NEON_REDO_WAL_CLIENT_CONNECTION_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/wal_client/handshake.h"
#include "neon_redo/cancel.h"
#include "neon_redo/error.h"
#include "neon_redo/receiver.h"

struct pg_conn;
struct pg_result;

namespace neon_redo {

// Rows of a command's answer, as text. A null is nullopt.
using CommandRow = std::vector<std::optional<std::string>>;

// Not thread-safe: one owner, or one mutex around it. Every wait ends when `cancel` is set
// (kCancelled) or its time is up (kTimeout).
class Connection {
 public:
  struct ResultDeleter {
    void operator()(pg_result* result) const;
  };
  using PgResult = std::unique_ptr<pg_result, ResultDeleter>;

  // `cancel` must outlive the connection. On failure *server_error says what the server said.
  // kInvalidArgument: a bad conninfo. kIo: the rest.
  static Result<std::unique_ptr<Connection>> Open(const ConnectOptions& options,
                                                  const CancelSignal& cancel,
                                                  ServerError* server_error);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs one command and returns the rows of its last answer; at least min_columns wide. `timeout`
  // 0: no limit (creating a logical slot waits for running transactions).
  // kIo: refused, or the connection broke; server_error() tells which.
  Result<std::vector<CommandRow>> Execute(const std::string& command, size_t min_columns,
                                          std::chrono::milliseconds timeout);

  // Sends a command whose first answer the caller looks at (START_REPLICATION).
  Result<PgResult> ExecuteForStatus(const std::string& command, std::chrono::milliseconds timeout);
  // The next answer of the command that runs; null at its end.
  Result<PgResult> NextResult(std::chrono::steady_clock::time_point deadline);
  // Takes what is left of a refused command, so that another one can follow; keeps server_error().
  void Discard(std::chrono::steady_clock::time_point deadline);

  // Of the last failure. Reset by each command.
  const ServerError& server_error() const { return server_error_; }
  // Makes an Error of a refused command or a broken connection, and fills server_error().
  tl::unexpected<Error> Fail(std::string_view doing, const pg_result* result = nullptr);

  int socket() const;
  bool encrypted() const { return encrypted_; }
  int server_version() const;
  pg_conn* handle() const { return handle_.get(); }  // libpq's, for the COPY functions

 private:
  Connection(PgConn handle, const CancelSignal& cancel)
      : handle_(std::move(handle)), cancel_(cancel) {}
  Status SetUp();
  Status Wait(short events, std::chrono::steady_clock::time_point deadline);
  Status Flush(std::chrono::steady_clock::time_point deadline);

  const PgConn handle_;
  const CancelSignal& cancel_;
  bool encrypted_ = false;
  ServerError server_error_;
};

// Quotes an identifier (a slot's name) or a literal as the replication grammar wants it
// (replication/repl_scanner.l: doubled quotes, no escapes).
std::string QuoteReplicationIdentifier(std::string_view name);
std::string QuoteReplicationLiteral(std::string_view text);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_CONNECTION_H_

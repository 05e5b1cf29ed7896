// Making a libpq connection without being held by it.
#ifndef NEON_REDO_WAL_CLIENT_HANDSHAKE_H_
#define NEON_REDO_WAL_CLIENT_HANDSHAKE_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "neon_redo/cancel.h"
#include "neon_redo/error.h"

struct pg_conn;

namespace neon_redo {

struct PgConnDeleter {
  void operator()(pg_conn* connection) const;
};
using PgConn = std::unique_ptr<pg_conn, PgConnDeleter>;

// libpq's parameters.
struct ConnectParameters {
  std::vector<std::string> keywords;
  std::vector<std::string> values;
  // The process at the other end must be of this user or of root: by a Unix socket, and before
  // anything is said to it. (libpq's requirepeer takes one name.)
  bool own_server = false;

  void Set(std::string keyword, std::string value);  // replaces
  bool Has(const std::string& keyword) const;
};

// Connects, logs in, and returns the connection, which may be a failed one (PQstatus) whose message
// is verbose. kCancelled: cancelled. kTimeout: not within `timeout` (0: no limit).
// kInvalidArgument: another user's server, with own_server. kIo: out of memory or threads.
Result<PgConn> ConnectToServer(ConnectParameters parameters, std::chrono::milliseconds timeout,
                               const CancelSignal& cancel);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_HANDSHAKE_H_

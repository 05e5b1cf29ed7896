// A WAL sender over a directory of segments, as `neon-redo serve-wal` runs it: standbys,
// pg_receivewal and WalReceiver stream from it as they do from a server.
// Source: replication/walsender.c.
//
//   const neon_redo::CancelSignal stop, reload;
//   neon_redo::WalServerOptions options;
//   options.wal = "/archive/wal";
//   options.socket_directory = "/run/neon_redo";
//   auto server = neon_redo::WalServer::Open(options);
//   if (server) (*server)->Run(stop, reload);  // pg_receivewal --host /run/neon_redo
#ifndef NEON_REDO_WAL_SERVER_H_
#define NEON_REDO_WAL_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "neon_redo/cancel.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

struct WalServerOptions {
  std::string wal;               // as WalReaderOptions::directories
  std::string stanza;            // and so
  std::string cipher_pass_file;  // these two
  std::string socket_directory;  // of the Unix socket, .s.PGSQL.PORT
  int port = 5432;
  std::string slots_file;  // empty: in the WAL directory
  bool follow = false;     // the directory gets more WAL
  // HOST:PORT for TCP, with TLS and SCRAM-SHA-256; empty: none. TCP needs the three files.
  std::string listen;
  // A line NAME:VERIFIER for each user, as pg_authid.rolpassword has them; " slots=NAMES" after it
  // limits the user to these slots.
  std::string users_file;
  std::string tls_certificate;          // PEM; the certificate's chain may follow it
  std::string tls_key;                  // PEM, not encrypted; readable by its owner alone
  size_t max_connections = 100;         // clients that have logged in
  size_t max_connections_per_role = 0;  // 0: no limit
  size_t max_replication_slots = 10;    // no slot is made beyond those in the file
  std::string metrics;                  // MetricsExposer's address; empty: none
  std::chrono::milliseconds sender_timeout{60'000};
  // Takes a line for a person. Called on the thread that runs the server.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

// One thread, one epoll loop. Not thread-safe, but for the signals given to Run.
class WalServer {
 public:
  // Finds the end of the WAL and listens. The Unix socket admits processes of the same user only.
  // kNotFound: no such directory, or no segments. kIo: a file, directory or address cannot be used.
  // kInvalidArgument: an address, or files with too wide permissions. kCorrupt: not WAL, or a bad
  // users or slots file.
  static Result<std::unique_ptr<WalServer>> Open(WalServerOptions options);
  ~WalServer();
  WalServer(const WalServer&) = delete;
  WalServer& operator=(const WalServer&) = delete;

  // Serves until `stop` is set; then sends the WAL that there is, waits until clients have it, and
  // returns. When `reload` is set, users file, certificate and key are read again; if one cannot be
  // used the server logs that and keeps the old one.
  Status Run(const CancelSignal& stop, const CancelSignal& reload);

  // What is served: the current timeline and the end of its valid WAL, and why reading stopped
  // there, in words.
  uint64_t system_identifier() const;
  uint32_t timeline() const;
  Lsn end_of_wal() const;
  const std::string& end_reason() const;

  const std::string& socket_path() const;
  int tcp_port() const;  // 0: no TCP

 private:
  class Impl;
  explicit WalServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_H_

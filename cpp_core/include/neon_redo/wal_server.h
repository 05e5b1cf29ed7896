// WalServer: a WAL sender over a directory of segments. What `neon-redo serve-wal` runs.
#ifndef NEON_REDO_WAL_SERVER_H_
#define NEON_REDO_WAL_SERVER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpp_core/base/files.h"
#include "cpp_core/wal_server/scram.h"
#include "cpp_core/wal_server/session.h"
#include "cpp_core/wal_server/slots.h"
#include "cpp_core/wal_server/tls.h"
#include "cpp_core/wal_server/wal_source.h"
#include "neon_redo/cancel.h"
#include "neon_redo/error.h"

namespace neon_redo {

class WalServerMetrics;

struct WalServerOptions {
  std::string wal;               // the directory
  std::string socket_directory;  // of the Unix socket, .s.PGSQL.PORT
  int port = 5432;
  std::string slots_file;  // empty: in the WAL directory
  bool follow = false;     // the WAL grows
  // HOST:PORT for TCP, with TLS and SCRAM-SHA-256; empty: none. Then the files are needed.
  std::string listen;
  std::string users_file;  // ScramUsers
  std::string tls_certificate;
  std::string tls_key;
  size_t max_connections = 100;
  size_t max_connections_per_role = 0;  // 0: no limit of its own
  size_t max_replication_slots = 10;    // beyond those in the file, none is made
  std::string metrics;                  // MetricsExposer's address; empty: none
  std::chrono::milliseconds sender_timeout{60'000};
  // A line for a person.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

// One thread, one epoll loop. Not thread-safe, but for the signals to Run.
class WalServer {
 public:
  // Reads the WAL's end and listens. By the Unix socket only processes of the same user are let in.
  static Result<std::unique_ptr<WalServer>> Open(WalServerOptions options);
  ~WalServer();
  WalServer(const WalServer&) = delete;
  WalServer& operator=(const WalServer&) = delete;

  // Serves until `stop` is set; then sends what WAL there is, waits until clients have it, and
  // returns. When `reload` is set, users file, certificate and key are read again; what cannot be
  // used is logged, and the old stays in force.
  Status Run(const CancelSignal& stop, const CancelSignal& reload);

  const WalSource& source() const { return *source_; }
  const std::string& socket_path() const { return socket_path_; }
  int tcp_port() const;  // 0: no TCP

 private:
  using Clock = Session::Clock;
  struct Connection {
    FileDescriptor fd;
    std::unique_ptr<Session> session;
    std::unique_ptr<TlsStream> tls;
    uint32_t events = 0;
    bool broken = false;
    bool awaits_refill = false;  // is in refill_
    std::optional<Clock::time_point> closing_since;
  };

  explicit WalServer(WalServerOptions options);
  Status Listen();
  void SetUpHost();
  Status WatchDirectory();
  Status Watch(int fd, uint64_t key, uint32_t events);

  void AcceptAll(int listener, bool local);
  void SetAccepting(bool accepting);
  void CloseEnded();

  // server_connection.cpp
  void Handle(Connection* connection, uint32_t events);
  void StartTls(Connection* connection);
  void Receive(Connection* connection);
  void Pump(Connection* connection);
  void Modify(Connection* connection, uint32_t events);
  void SetEvents(Connection* connection, bool want_output);
  bool Send(Connection* connection, bool* would_block);
  void RefillSoon(Connection* connection);
  void Refill();

  std::vector<const Session*> Sessions() const;
  std::string DescribeAll() const;
  void ReadDirectoryEvents();
  void LookForWal(bool relist);
  void WakeCaughtUp();
  void Tick();
  void Reload();
  void BeginStop();
  int MillisecondsToWait() const;
  void Cancel(uint32_t id, uint32_t key);

  const WalServerOptions options_;
  std::unique_ptr<WalSource> source_;
  SlotStore slots_;
  SessionHost host_;
  std::string socket_path_;
  FileDescriptor epoll_;
  FileDescriptor listener_;
  FileDescriptor tcp_listener_;
  ScramUsers users_;
  TlsContext tls_;
  std::unique_ptr<WalServerMetrics> metrics_;
  FileDescriptor inotify_;
  std::unordered_map<uint32_t, std::unique_ptr<Connection>> connections_;
  uint32_t last_id_ = 0;
  FileDescriptor refill_timer_;
  std::vector<uint32_t> refill_;  // connections that go on when the timer fires
  bool accepting_ = true;
  bool stopping_ = false;
  bool wal_event_ = false;
  bool relist_event_ = false;
  std::string trouble_;  // of following, as last logged
  Clock::time_point now_;
  Clock::time_point last_look_{};
  Clock::time_point next_tick_{};
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_H_

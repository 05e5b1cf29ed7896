// The inside of WalServer (neon_redo/wal_server.h).
#ifndef NEON_REDO_WAL_SERVER_SERVER_H_
#define NEON_REDO_WAL_SERVER_SERVER_H_

#include <chrono>
#include <cstdint>
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
#include "neon_redo/wal_server.h"

namespace neon_redo {

class WalServerMetrics;

// The public functions are those of WalServer.
class WalServer::Impl {
 public:
  static Result<std::unique_ptr<Impl>> Open(WalServerOptions options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
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

  explicit Impl(WalServerOptions options);
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

#endif  // NEON_REDO_WAL_SERVER_SERVER_H_

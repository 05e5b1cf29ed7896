// The inside of WalServer (neon_redo/wal_server.h).
#ifndef NEON_REDO_WAL_SERVER_SERVER_H_
#define NEON_REDO_WAL_SERVER_SERVER_H_

#include <chrono>
#include <cstdint>
#include <deque>
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
#include "neon_redo/wal_server.h"

struct epoll_event;

namespace neon_redo {

class WalServerMetrics;

// The public functions are those of WalServer.
//
// No peer decides how long the loop stays with it. Each connection has a turn, which ends after a
// bounded amount of bytes read, of commands and of WAL sent. Connections stand in three lanes: by
// the Unix socket, by TCP and logged in, by TCP and not. In each pass of the loop a lane of TCP has
// a bounded time, and its connections take turns; the first lane and the signals come in every
// pass.
//
// Clients that have not logged in have places of their own, by TCP and by the Unix socket. When
// these are taken, or too many of them by one address, the client that has been silent for longest
// gives up its place to the next.
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
  // What an event of epoll is about; a connection's key is its session's id.
  enum EventKey : uint64_t {
    kListenerKey,
    kTcpListenerKey,
    kClientsKey,
    kStrangersKey,
    kStopKey,
    kReloadKey,
    kDirectoryKey,
    kRefillKey,
    kBackgroundKey,
    kFirstConnectionKey = 1000
  };
  enum class Lane { kLocal, kClients, kStrangers };
  struct Connection {
    FileDescriptor fd;
    std::unique_ptr<Session> session;
    std::unique_ptr<TlsStream> tls;
    Lane lane = Lane::kLocal;
    uint32_t events = 0;
    bool broken = false;
    bool awaits_refill = false;  // is in refill_
    bool awaits_turn = false;    // is in next_turn_
    int login_step = 0;
    Clock::time_point last_step{};  // when it came that far
    std::optional<Clock::time_point> closing_since;

    bool logged_in() const { return !broken && session->statistics().authenticated; }
    bool is_stranger() const { return !broken && !session->statistics().authenticated; }
  };

  explicit Impl(WalServerOptions options);
  Status Listen();
  void SetUpHost();
  Status WatchDirectories();
  Status Watch(int epoll, int fd, uint64_t key, uint32_t events);
  int EpollOf(Lane lane) const;
  void LimitClientsByDescriptors();

  void HandleEvent(const epoll_event& event);
  void TakeTurns(Lane lane, std::chrono::milliseconds time);
  void TakeNextTurns();
  void CloseEnded();

  // server_accept.cpp
  void AcceptSome(int listener, bool local);
  bool AcceptFailed();
  void AddConnection(FileDescriptor fd, Peer peer);
  bool MakePlace(const Peer& peer);
  bool GiveUpSilent(const std::function<bool(const Connection&)>& among, const char* why);
  void NoteProgress(Connection* connection);
  bool TooMany(const Peer& peer) const;
  void SetAccepting(bool accepting);

  // server_connection.cpp
  void Handle(Connection* connection, uint32_t events);
  void StartTls(Connection* connection);
  void Receive(Connection* connection);
  void TurnSoon(Connection* connection);
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
  void LogTrouble();
  void WakeCaughtUp();
  void CollectBackground();
  void GiveUp(const std::shared_ptr<SegmentFile>& file);
  void Tick();
  void Reload();
  void BeginStop();
  int MillisecondsToWait() const;
  void Cancel(uint32_t id, uint32_t key);
  void LogOf(uint32_t id, const std::string& line);

  const WalServerOptions options_;
  std::unique_ptr<WalSource> source_;
  SlotStore slots_;
  SessionHost host_;
  std::string socket_path_;
  FileDescriptor epoll_;  // what is not by TCP, and the two beneath
  FileDescriptor clients_epoll_;
  FileDescriptor strangers_epoll_;
  FileDescriptor listener_;
  FileDescriptor tcp_listener_;
  ScramUsers users_;
  TlsContext tls_;
  std::unique_ptr<WalServerMetrics> metrics_;
  FileDescriptor inotify_;
  std::unordered_map<uint32_t, std::unique_ptr<Connection>> connections_;
  uint32_t last_id_ = 0;
  FileDescriptor refill_timer_;
  std::vector<uint32_t> refill_;    // connections that go on when the timer fires
  std::deque<uint32_t> next_turn_;  // connections that have something to do without an event
  bool slots_written_ = false;      // in this pass of the loop
  bool accepting_ = true;
  bool no_descriptors_ = false;  // accepting failed, and it was logged
  Clock::time_point accept_again_{};
  double log_allowance_ = 0;  // lines that clients may still cause to be logged
  Clock::time_point log_allowance_at_{};
  uint64_t log_lines_left_out_ = 0;
  const CancelSignal* reload_ = nullptr;  // while it runs
  bool stopping_ = false;
  bool wal_event_ = false;
  bool relist_event_ = false;
  bool relist_wanted_ = false;  // once the archive may be listed again
  std::string trouble_;         // of following, as last logged
  Clock::time_point now_;
  Clock::time_point last_look_{};
  Clock::time_point next_tick_{};
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_SERVER_H_

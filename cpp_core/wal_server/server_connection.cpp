// A connection's turn ends when its socket is full, when it has nothing to send, or after kTurn
// bytes, so that a fast client does not hold the others back; a slow one only holds its own socket.
// It ends too by what ReceiveInput takes, TlsStream's reads and Session's work.
// WAL goes from the page cache to the socket by sendfile, behind the few bytes of its message's
// header.
//
// A Unix socket that took something and is full gets its next turn by a timer: for epoll to report
// room, the client's process has to wake this one up, which takes it as long as 30 kB of WAL. One
// that took nothing since its last turn has a slow client, and is left to epoll.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cpp_core/wal_server/server.h"
#include "cpp_core/wal_server/turn.h"

namespace neon_redo {

namespace {

constexpr uint64_t kTurn = 1 << 20;
// A receiver takes some 150 kB in that time, of the 416 kB or more that fit a socket (kSendBuffer).
constexpr timespec kRefillInterval{0, 100'000};

ssize_t SendRange(int socket, const Output::Range& range) {
  auto offset = static_cast<off_t>(range.offset);
  return sendfile(socket, range.file->fd.get(), &offset, range.length);
}

// One TLS record at a time. A record that the socket would not take is made again, of the same
// bytes.
ssize_t SendRangeEncrypted(TlsStream* tls, const Output::Range& range) {
  char buffer[16 * 1024];
  const ssize_t n =
      pread(range.file->fd.get(), buffer, std::min<size_t>(sizeof(buffer), range.length),
            static_cast<off_t>(range.offset));
  return n > 0 ? tls->Send(buffer, static_cast<size_t>(n)) : n;
}

}  // namespace

void WalServer::Impl::Handle(Connection* connection, uint32_t events) {
  Session& session = *connection->session;
  session.BeginTurn();
  if (connection->tls) connection->tls->BeginTurn();
  if (connection->tls && !connection->tls->established()) {
    StartTls(connection);
  } else {
    const bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    // To what it said last and its end, Receive comes in one turn or several; but a client that is
    // not listened to now would only make its end be reported again and again.
    if (ended && !ReadsInput(*connection->session)) connection->broken = true;
    Receive(connection);
    Pump(connection);
  }
  if (connection->broken) return;
  NoteProgress(connection);
  // What TLS has decrypted, epoll will not report.
  if (connection->tls && connection->tls->pending() && ReadsInput(*connection->session))
    TurnSoon(connection);
}

void WalServer::Impl::TurnSoon(Connection* connection) {
  if (connection->awaits_turn) return;
  connection->awaits_turn = true;
  next_turn_.push_back(connection->session->id());
}

// Begins or continues the handshake; the socket is watched for what that needs.
void WalServer::Impl::StartTls(Connection* connection) {
  if (!connection->tls) connection->tls = std::make_unique<TlsStream>(tls_, connection->fd.get());
  TlsStream& tls = *connection->tls;
  if (!ContinueHandshake(connection->session.get(), &tls)) {
    host_.log(connection->session->id(), "could not accept TLS connection");
    connection->broken = true;
    return;
  }
  Modify(connection, tls.established() || !tls.wants_write() ? EPOLLIN : EPOLLOUT);
}

void WalServer::Impl::Receive(Connection* connection) {
  const TlsStream* tls = connection->tls.get();
  if (connection->broken ||
      ReceiveInput(connection->session.get(), connection->tls.get(), connection->fd.get(), now_))
    return;
  if (tls && tls->problem()) host_.log(connection->session->id(), tls->problem());
  connection->broken = true;
}

// Sends what comes next. False: it cannot, and unless it would block the connection is broken.
bool WalServer::Impl::Send(Connection* connection, bool* would_block) {
  Output& output = connection->session->output();
  const std::string_view head = output.head();
  const Output::Range& range = output.range();
  ssize_t n;
  if (!head.empty()) {
    const int more = range.length > 0 ? MSG_MORE : 0;
    n = connection->tls ? connection->tls->Send(head.data(), head.size())
                        : send(connection->fd.get(), head.data(), head.size(), MSG_NOSIGNAL | more);
    if (n > 0) output.ConsumeHead(static_cast<size_t>(n));
  } else {
    n = connection->tls ? SendRangeEncrypted(connection->tls.get(), range)
                        : SendRange(connection->fd.get(), range);
    // The file was cut short, and its message cannot be finished.
    if (n == 0)
      host_.log(connection->session->id(),
                fmt::format("file \"{}\" has become shorter", range.file->segment.path));
    if (n > 0) output.ConsumeRange(static_cast<uint64_t>(n));
  }
  if (n > 0) return true;
  *would_block = n < 0 && (errno == EAGAIN || errno == EINTR);
  return false;
}

void WalServer::Impl::Pump(Connection* connection) {
  Session& session = *connection->session;
  Output& output = session.output();
  const uint64_t budget_end = session.statistics().bytes_sent + kTurn;
  bool would_block = false;
  bool progress = false;
  while (!connection->broken && !session.broken()) {
    if (output.empty() && !session.Continue(now_)) break;
    if (!output.empty() && !Send(connection, &would_block)) {
      connection->broken = !would_block;
      break;
    }
    progress = true;
    if (session.statistics().bytes_sent >= budget_end) {
      would_block = true;
      break;
    }
  }
  if (session.closing() && output.empty()) connection->broken = true;
  if (session.broken()) connection->broken = true;
  if (connection->broken) return;
  if (session.starting_tls() && output.empty()) return StartTls(connection);
  if (session.closing() && !connection->closing_since) connection->closing_since = now_;
  // By TCP there is always TLS, and the kernel that does the waking up.
  const bool by_timer = would_block && progress && !connection->tls;
  if (by_timer) RefillSoon(connection);
  SetEvents(connection, would_block && !by_timer);
  // Nor what the session has taken in and not handled.
  if (session.wants_turn()) TurnSoon(connection);
}

void WalServer::Impl::RefillSoon(Connection* connection) {
  if (connection->awaits_refill) return;
  connection->awaits_refill = true;
  const itimerspec once{{}, kRefillInterval};
  if (refill_.empty()) timerfd_settime(refill_timer_.get(), 0, &once, nullptr);
  refill_.push_back(connection->session->id());
}

void WalServer::Impl::Refill() {
  uint64_t expirations;
  if (read(refill_timer_.get(), &expirations, sizeof(expirations)) < 0) return;
  for (const uint32_t id : std::exchange(refill_, {})) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) continue;
    it->second->awaits_refill = false;
    it->second->session->BeginTurn();
    Pump(it->second.get());
  }
}

void WalServer::Impl::SetEvents(Connection* connection, bool want_output) {
  uint32_t events = 0;
  if (want_output) events |= EPOLLOUT;
  if (ReadsInput(*connection->session)) events |= EPOLLIN;
  Modify(connection, events);
}

// The client's end is always watched for.
void WalServer::Impl::Modify(Connection* connection, uint32_t events) {
  events |= EPOLLRDHUP;
  if (events == connection->events) return;
  epoll_event event{};
  event.events = connection->events = events;
  event.data.u64 = connection->session->id();
  epoll_ctl(EpollOf(connection->lane), EPOLL_CTL_MOD, connection->fd.get(), &event);
}

}  // namespace neon_redo

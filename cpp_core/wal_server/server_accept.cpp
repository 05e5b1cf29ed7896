// Who gets a place, and who gives one up.
//
// Before login a client costs a descriptor and some kilobytes, and anybody can connect. So there
// are kStrangers places for clients by TCP that have not logged in, kStrangersPerAddress of them
// for one address, and kLocalStrangers by the Unix socket. A client that comes when they are taken
// gets the place of the one that has been silent for longest, by the last step on its way to login:
// an honest client takes the next step within milliseconds. A client that has logged in is never
// given up for another.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cpp_core/base/open_files.h"
#include "cpp_core/wal_server/listen.h"
#include "cpp_core/wal_server/server.h"

namespace neon_redo {

using std::chrono::milliseconds;

namespace {

constexpr size_t kStrangers = 64;
constexpr size_t kStrangersPerAddress = 32;
constexpr size_t kLocalStrangers = 16;
// For clients by the Unix socket, beyond the limit that those by TCP reach.
constexpr size_t kReservedForLocal = 3;
// Descriptors for all that is not a client: listeners, directories, metrics, decompressed segments.
constexpr size_t kOtherDescriptors = 96;
constexpr int kAcceptsPerTurn = 8;
constexpr milliseconds kAcceptPause{100};

// What one owner of addresses can take as many of as it likes counts as one: a /64 of IPv6.
std::string AddressGroup(const std::string& address) {
  in6_addr ip;
  if (inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &ip) != 1) return address;
  if (IN6_IS_ADDR_V4MAPPED(&ip)) return address.substr(address.rfind(':') + 1);
  return {reinterpret_cast<const char*>(&ip), 8};
}

}  // namespace

// A client takes a socket, and at most a segment of its own.
void WalServer::Impl::LimitClientsByDescriptors() {
  const size_t others = kStrangers + kLocalStrangers + kOtherDescriptors;
  const size_t wanted = 2 * (options_.max_connections + kReservedForLocal) + others;
  const size_t limit = RaiseOpenFileLimit(wanted);
  if (limit >= wanted) return;
  const size_t left = limit > others ? (limit - others) / 2 : 0;
  host_.max_connections =
      std::max<size_t>(left > kReservedForLocal ? left - kReservedForLocal : 0, 1);
  options_.log(
      fmt::format("{} open files are allowed, so {} clients are served at a time instead "
                  "of {}; raise the limit (ulimit -n)",
                  limit, host_.max_connections, options_.max_connections));
}

void WalServer::Impl::SetAccepting(bool accepting) {
  if (accepting == accepting_) return;
  accepting_ = accepting;
  const struct {
    int epoll;
    int fd;
  } listeners[] = {{epoll_.get(), listener_.get()}, {strangers_epoll_.get(), tcp_listener_.get()}};
  for (const auto& [epoll, fd] : listeners) {
    if (fd < 0) continue;
    epoll_event event{};
    event.events = accepting ? uint32_t{EPOLLIN} : 0;
    event.data.u64 = fd == listener_.get() ? kListenerKey : kTcpListenerKey;
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
  }
}

void WalServer::Impl::AcceptSome(int listener, bool local) {
  for (int i = 0; i < kAcceptsPerTurn && listener >= 0; i++) {
    Peer peer;
    FileDescriptor fd = AcceptPeer(listener, local, &peer);
    if (fd.get() < 0) {
      if (AcceptFailed()) continue;
      return;
    }
    no_descriptors_ = false;
    if (MakePlace(peer)) AddConnection(std::move(fd), std::move(peer));
  }
}

// True: it is worth another attempt.
bool WalServer::Impl::AcceptFailed() {
  if (errno == EINTR || errno == ECONNABORTED) return true;
  if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return false;
  if (!std::exchange(no_descriptors_, true))
    options_.log(fmt::format("could not accept a connection: {}", strerror(errno)));
  if (GiveUpSilent([](const Connection&) { return true; }, nullptr)) return true;
  // The connection stays in the listener, which would report it for ever.
  SetAccepting(false);
  accept_again_ = now_ + kAcceptPause;
  return false;
}

void WalServer::Impl::AddConnection(FileDescriptor fd, Peer peer) {
  uint32_t key = 0;
  if (getrandom(&key, sizeof(key), 0) != sizeof(key)) return;
  const uint32_t id = ++last_id_;
  auto connection = std::make_unique<Connection>();
  connection->lane = peer.local ? Lane::kLocal : Lane::kStrangers;
  connection->session = std::make_unique<Session>(host_, id, key, std::move(peer), now_);
  connection->events = EPOLLIN | EPOLLRDHUP;
  connection->last_step = now_;
  if (!Watch(EpollOf(connection->lane), fd.get(), id, connection->events)) return;
  connection->fd = std::move(fd);
  connections_[id] = std::move(connection);
}

// For one more client that has not logged in. False: it cannot have one.
bool WalServer::Impl::MakePlace(const Peer& peer) {
  const std::string group = AddressGroup(peer.address);
  auto like_it = [&](const Connection& c) { return c.session->peer().local == peer.local; };
  auto near_it = [&](const Connection& c) {
    return like_it(c) && AddressGroup(c.session->peer().address) == group;
  };
  size_t like = 0;
  size_t near = 0;
  for (const auto& [id, connection] : connections_) {
    if (!connection->is_stranger()) continue;
    like += like_it(*connection) ? 1 : 0;
    near += near_it(*connection) ? 1 : 0;
  }
  if (!peer.local && near >= kStrangersPerAddress)
    return GiveUpSilent(near_it, "too many connections of its address have not logged in");
  if (like >= (peer.local ? kLocalStrangers : kStrangers))
    return GiveUpSilent(like_it, "too many connections have not logged in");
  return true;
}

// Ends the one that took its last step to login before all others. It is closed at once: a pass of
// the loop takes in more connections than there are descriptors for. False: there is none.
bool WalServer::Impl::GiveUpSilent(const std::function<bool(const Connection&)>& among,
                                   const char* why) {
  Connection* silent = nullptr;
  for (const auto& [id, connection] : connections_) {
    if (!connection->is_stranger()) continue;
    if (!among(*connection)) continue;
    if (!silent || connection->last_step < silent->last_step) silent = connection.get();
  }
  if (!silent) return false;
  const uint32_t id = silent->session->id();
  if (why) LogOf(id, fmt::format("given up before login: {}", why));
  connections_.erase(id);
  return true;
}

void WalServer::Impl::NoteProgress(Connection* connection) {
  const int step = connection->session->login_step();
  if (step != connection->login_step) {
    connection->login_step = step;
    connection->last_step = now_;
  }
  if (connection->lane != Lane::kStrangers || !connection->session->statistics().authenticated)
    return;
  epoll_ctl(EpollOf(connection->lane), EPOLL_CTL_DEL, connection->fd.get(), nullptr);
  connection->lane = Lane::kClients;
  if (!Watch(EpollOf(connection->lane), connection->fd.get(), connection->session->id(),
             connection->events))
    connection->broken = true;
}

// Clients by the Unix socket take the places that are theirs alone first.
bool WalServer::Impl::TooMany(const Peer& peer) const {
  size_t local = 0;
  size_t all = 0;
  for (const auto& [id, connection] : connections_) {
    if (!connection->logged_in()) continue;
    local += connection->session->peer().local ? 1 : 0;
    all++;
  }
  if (!peer.local) return all - std::min(local, kReservedForLocal) >= host_.max_connections;
  return local >= host_.max_connections || all >= host_.max_connections + kReservedForLocal;
}

}  // namespace neon_redo

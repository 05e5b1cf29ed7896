// One loop over epoll, level-triggered; what a connection does in its turn is in
// server_connection.cpp, how it gets a place in server_accept.cpp. Connections by TCP stand in two
// epoll instances of their own, which the loop's own one watches: that says that there is something
// to do there, and TakeTurns decides how much. New WAL is noticed by inotify on the directory, and
// once a second without (network file systems tell nothing); it is looked at once per kLookInterval
// at most, since a writer's every write is an event.
#include "cpp_core/wal_server/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "cpp_core/base/sockets.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal_server/listen.h"
#include "cpp_core/wal_server/metrics.h"
#include "cpp_core/wal_server/statistics.h"
#include "neon_redo/describe.h"

namespace neon_redo {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLookInterval{10};
constexpr milliseconds kLinger{10'000};  // for the last words to a client that does not read

// In one pass of the loop. A handshake takes a millisecond or a few of the processor's time. A client by
// the Unix socket waits for a pass with each of its messages, and longer where others want the processor.
constexpr milliseconds kClientsTime{4};
constexpr milliseconds kStrangersTime{3};
constexpr milliseconds kNextTurnsTime{4};

// A client can have a line logged as often as it likes, a stranger too.
constexpr double kLogBurst = 200;
constexpr double kLogLinesPerSecond = 20;

tl::unexpected<Error> SystemError(const std::string& what) {
  return MakeError(ErrorCode::kIo, fmt::format("could not {}: {}", what, strerror(errno)));
}

}  // namespace

WalServer::Impl::Impl(WalServerOptions options) : options_(std::move(options)) {
  last_id_ = kFirstConnectionKey;
}

WalServer::Impl::~Impl() {
  connections_.clear();
  if (listener_.get() >= 0) unlink(socket_path_.c_str());
}

Result<std::unique_ptr<WalServer::Impl>> WalServer::Impl::Open(WalServerOptions options) {
  std::unique_ptr<Impl> out(new Impl(std::move(options)));
  ASSIGN_OR_RETURN(auto source,
                   WalSource::Open(WalSources{.directories = {out->options_.wal},
                                              .stanza = out->options_.stanza,
                                              .cipher_pass_file = out->options_.cipher_pass_file}));
  out->source_ = std::move(source);
  std::string slots_file = out->options_.slots_file;
  if (slots_file.empty()) slots_file = out->source_->directory() + "/serve-wal.slots";
  ASSIGN_OR_RETURN(auto slots, SlotStore::Open(slots_file));
  out->slots_ = std::move(slots);
  const std::string warning = out->slots_.directory().OwnerWarning();
  if (!warning.empty()) out->options_.log(warning);
  out->epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  out->clients_epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  out->strangers_epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (out->epoll_.get() < 0 || out->clients_epoll_.get() < 0 || out->strangers_epoll_.get() < 0)
    return SystemError("create an epoll instance");
  RETURN_IF_ERROR(out->Watch(out->epoll_.get(), out->clients_epoll_.get(), kClientsKey, EPOLLIN));
  RETURN_IF_ERROR(
      out->Watch(out->epoll_.get(), out->strangers_epoll_.get(), kStrangersKey, EPOLLIN));
  out->refill_timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (out->refill_timer_.get() < 0) return SystemError("create a timer");
  RETURN_IF_ERROR(out->Watch(out->epoll_.get(), out->refill_timer_.get(), kRefillKey, EPOLLIN));
  RETURN_IF_ERROR(
      out->Watch(out->epoll_.get(), out->source_->background_fd(), kBackgroundKey, EPOLLIN));
  out->source_->set_give_up([self = out.get()](const auto& file) { self->GiveUp(file); });
  if (out->options_.follow) {
    RETURN_IF_ERROR(out->WatchDirectories());
  }
  RETURN_IF_ERROR(out->Listen());
  if (!out->options_.metrics.empty()) {
    ASSIGN_OR_RETURN(auto metrics, WalServerMetrics::Open(out->options_.metrics));
    out->metrics_ = std::move(metrics);
  }
  out->SetUpHost();
  return out;
}

Status WalServer::Impl::Listen() {
  socket_path_ = fmt::format("{}/.s.PGSQL.{}", options_.socket_directory, options_.port);
  ASSIGN_OR_RETURN(auto local, ListenLocal(socket_path_));
  listener_ = std::move(local);
  if (!options_.listen.empty()) {
    ASSIGN_OR_RETURN(auto users, ScramUsers::Open(options_.users_file, &slots_.directory()));
    users_ = std::move(users);
    if (!users_.secret_trouble().empty())
      options_.log(users_.secret_trouble() +
                   "; the salts of unknown roles change with the users file, so a client can learn "
                   "which roles exist");
    ASSIGN_OR_RETURN(auto tls, TlsContext::Open(options_.tls_certificate, options_.tls_key));
    tls_ = std::move(tls);
    ASSIGN_OR_RETURN(auto tcp, ListenTcp(options_.listen));
    tcp_listener_ = std::move(tcp);
    RETURN_IF_ERROR(Watch(strangers_epoll_.get(), tcp_listener_.get(), kTcpListenerKey, EPOLLIN));
  }
  return Watch(epoll_.get(), listener_.get(), kListenerKey, EPOLLIN);
}

void WalServer::Impl::SetUpHost() {
  host_.source = source_.get();
  host_.slots = &slots_;
  host_.users = &users_;
  host_.tls = tcp_listener_.get() >= 0;
  host_.sender_timeout = options_.sender_timeout;
  host_.max_connections = options_.max_connections;
  LimitClientsByDescriptors();
  host_.max_replication_slots = options_.max_replication_slots;
  host_.cancel = [this](uint32_t id, uint32_t key) { Cancel(id, key); };
  host_.log = [this](uint32_t id, const std::string& line) { LogOf(id, line); };
  host_.too_many = [this](const Peer& peer) { return TooMany(peer); };
  // One command in a pass of the loop, so that others wait for the disk but once in it.
  host_.may_write_slots = [this] { return !std::exchange(slots_written_, true); };
  host_.status = [this] { return DescribeAll(); };
  host_.too_many_for_user = [this](const std::string& user) {
    if (options_.max_connections_per_role == 0) return false;
    const auto has = std::count_if(connections_.begin(), connections_.end(), [&](const auto& c) {
      return c.second->logged_in() && c.second->session->statistics().user == user;
    });
    return static_cast<size_t>(has) >= options_.max_connections_per_role;
  };
}

int WalServer::Impl::tcp_port() const {
  return tcp_listener_.get() >= 0 ? PortOf(tcp_listener_) : 0;
}

Status WalServer::Impl::Watch(int epoll, int fd, uint64_t key, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return SystemError("watch a socket");
  return {};
}

int WalServer::Impl::EpollOf(Lane lane) const {
  return lane == Lane::kLocal     ? epoll_.get()
         : lane == Lane::kClients ? clients_epoll_.get()
                                  : strangers_epoll_.get();
}

Status WalServer::Impl::WatchDirectories() {
  inotify_.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify_.get() < 0) return SystemError("create an inotify instance");
  for (const std::string& directory : source_->directories()) {
    if (inotify_add_watch(inotify_.get(), directory.c_str(),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
      return SystemError(fmt::format("watch directory \"{}\"", directory));
  }
  return Watch(epoll_.get(), inotify_.get(), kDirectoryKey, EPOLLIN);
}

Status WalServer::Impl::Run(const CancelSignal& stop, const CancelSignal& reload) {
  for (const auto& [fd, key] :
       {std::pair(stop.fd(), uint64_t{kStopKey}), std::pair(reload.fd(), uint64_t{kReloadKey})}) {
    RETURN_IF_ERROR(Watch(epoll_.get(), fd, key, EPOLLIN));
  }
  reload_ = &reload;
  now_ = Clock::now();
  next_tick_ = now_;
  std::vector<epoll_event> events(256);
  while (!stopping_ || !connections_.empty()) {
    const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                             MillisecondsToWait());
    if (n < 0 && errno != EINTR) return SystemError("wait for events");
    now_ = Clock::now();
    slots_written_ = false;
    for (int i = 0; i < n; i++) HandleEvent(events[static_cast<size_t>(i)]);
    TakeNextTurns();
    if ((wal_event_ || relist_event_) && now_ - last_look_ >= kLookInterval)
      LookForWal(relist_event_);
    if (now_ >= next_tick_) Tick();
    CloseEnded();
  }
  return slots_.Save();
}

void WalServer::Impl::HandleEvent(const epoll_event& event) {
  switch (event.data.u64) {
    case kListenerKey:
      return AcceptSome(listener_.get(), true);
    case kTcpListenerKey:
      return AcceptSome(tcp_listener_.get(), false);
    case kClientsKey:
      return TakeTurns(Lane::kClients, kClientsTime);
    case kStrangersKey:
      return TakeTurns(Lane::kStrangers, kStrangersTime);
    case kDirectoryKey:
      return ReadDirectoryEvents();
    case kRefillKey:
      return Refill();
    case kBackgroundKey:
      return CollectBackground();
    case kStopKey:
      if (!stopping_) BeginStop();
      return;
    case kReloadKey:
      reload_->Clear();
      return Reload();
    default:
      break;
  }
  if (const auto it = connections_.find(static_cast<uint32_t>(event.data.u64));
      it != connections_.end() && !it->second->broken)
    Handle(it->second.get(), event.events);
}

// One event at a time: epoll puts what it has given out at the end of its list, so that each
// connection gets its turn however short the time is.
void WalServer::Impl::TakeTurns(Lane lane, milliseconds time) {
  const auto end = Clock::now() + time;
  epoll_event event;
  do {
    if (epoll_wait(EpollOf(lane), &event, 1, 0) != 1) return;
    HandleEvent(event);
  } while (Clock::now() < end);
}

// Those that still have something to do come after those that wait.
void WalServer::Impl::TakeNextTurns() {
  const auto end = Clock::now() + kNextTurnsTime;
  for (size_t left = next_turn_.size(); left > 0 && Clock::now() < end; left--) {
    const auto it = connections_.find(next_turn_.front());
    next_turn_.pop_front();
    if (it == connections_.end()) continue;
    it->second->awaits_turn = false;
    if (!it->second->broken) Handle(it->second.get(), 0);
  }
}

int WalServer::Impl::MillisecondsToWait() const {
  if (!next_turn_.empty()) return 0;
  auto next = next_tick_;
  if (wal_event_ || relist_event_) next = std::min(next, last_look_ + kLookInterval);
  if (!accepting_ && !stopping_) next = std::min(next, accept_again_);
  const auto left = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1000));
}

void WalServer::Impl::CloseEnded() {
  std::erase_if(connections_, [](const auto& entry) { return entry.second->broken; });
  if (!accepting_ && !stopping_ && now_ >= accept_again_) SetAccepting(true);
}

void WalServer::Impl::ReadDirectoryEvents() {
  alignas(inotify_event) char buffer[16 * 1024];
  for (;;) {
    const ssize_t n = read(inotify_.get(), buffer, sizeof(buffer));
    if (n <= 0) return;
    for (const char* p = buffer; p < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(p);
      p += sizeof(inotify_event) + event->len;
      const std::string_view file = event->len > 0 ? event->name : "";
      if ((event->mask & IN_Q_OVERFLOW) || file.find(".history") != file.npos) relist_event_ = true;
      const auto name = event->len > 0 ? ParseArchivedName(event->name) : std::nullopt;
      if (!name) continue;
      wal_event_ = true;
      relist_event_ = relist_event_ || name->segment.timeline > source_->timeline();
    }
  }
}

void WalServer::Impl::LookForWal(bool relist) {
  wal_event_ = relist_event_ = false;
  last_look_ = now_;
  const bool more = source_->Refresh();
  wal_event_ = source_->wants_refresh();
  relist_wanted_ = (relist || relist_wanted_) && (stopping_ || !source_->BeginRelist());
  LogTrouble();
  if (more) WakeCaughtUp();
}

void WalServer::Impl::LogTrouble() {
  if (source_->trouble() == trouble_) return;
  trouble_ = source_->trouble();
  if (!trouble_.empty()) options_.log("could not follow WAL: " + trouble_);
}

// Segments were decompressed, or the archive was listed.
void WalServer::Impl::CollectBackground() {
  const bool more = source_->Collect();
  wal_event_ = wal_event_ || (options_.follow && !stopping_ && source_->wants_refresh());
  LogTrouble();
  for (const auto& [id, connection] : connections_) {
    if (connection->session->segment_has_come()) Pump(connection.get());
  }
  if (more) WakeCaughtUp();
}

// Its room is needed: clients that are just getting a part of it get that from memory.
void WalServer::Impl::GiveUp(const std::shared_ptr<SegmentFile>& file) {
  for (const auto& [id, connection] : connections_) connection->session->GiveUp(file);
}

void WalServer::Impl::WakeCaughtUp() {
  for (const auto& [id, connection] : connections_) {
    if (connection->session->caught_up()) Pump(connection.get());
  }
}

void WalServer::Impl::Tick() {
  next_tick_ = now_ + milliseconds(1000);
  if (options_.sender_timeout.count() > 0)
    next_tick_ = std::min(next_tick_, now_ + options_.sender_timeout / 8);
  if (options_.follow && !stopping_ && now_ - last_look_ >= milliseconds(1000))
    LookForWal(source_->HasNewTimeline());
  for (const auto& [id, connection] : connections_) {
    Session& session = *connection->session;
    const size_t before = session.output().buffered();
    session.BeginTurn();
    session.Tick(now_);
    if (connection->closing_since && now_ - *connection->closing_since >= kLinger)
      connection->broken = true;
    if (session.output().buffered() != before || session.closing() || session.wants_turn())
      Pump(connection.get());
  }
  if (log_lines_left_out_ > 0) LogOf(0, {});
  if (const Status saved = slots_.Save(); !saved) options_.log(saved.error().message);
  if (metrics_) metrics_->Update(Sessions(), *source_, now_);
}

std::vector<const Session*> WalServer::Impl::Sessions() const {
  std::vector<const Session*> out;
  for (const auto& [id, connection] : connections_) {
    if (connection->logged_in()) out.push_back(connection->session.get());
  }
  return out;
}

std::string WalServer::Impl::DescribeAll() const {
  return DescribeServer(Sessions(), *source_, slots_, now_).dump();
}

// Clients that are connected stay.
void WalServer::Impl::Reload() {
  if (options_.listen.empty()) return;
  options_.log("reading users file, certificate and key again");
  if (const Status users = users_.Reload(options_.users_file); !users)
    options_.log(users.error().message + "; the users stay as they were");
  auto tls = TlsContext::Open(options_.tls_certificate, options_.tls_key);
  if (tls)
    tls_ = std::move(*tls);
  else
    options_.log(tls.error().message + "; certificate and key stay as they were");
}

void WalServer::Impl::BeginStop() {
  stopping_ = true;
  SetAccepting(false);
  if (options_.follow) LookForWal(false);
  if (inotify_.get() >= 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, inotify_.get(), nullptr);
  unlink(socket_path_.c_str());
  listener_.Reset();
  tcp_listener_.Reset();
  wal_event_ = relist_event_ = false;
  size_t streaming = 0;
  for (const auto& [id, connection] : connections_) {
    streaming += connection->session->streaming() ? 1 : 0;
    connection->session->Stop(now_);
    Pump(connection.get());
  }
  if (streaming > 0)
    options_.log(fmt::format("shutting down; {} client{} to get the rest of the WAL", streaming,
                             streaming == 1 ? "" : "s"));
}

// Clients' words are in the line.
void WalServer::Impl::LogOf(uint32_t id, const std::string& line) {
  const double seconds = std::chrono::duration<double>(now_ - log_allowance_at_).count();
  log_allowance_ = std::min(kLogBurst, log_allowance_ + seconds * kLogLinesPerSecond);
  log_allowance_at_ = now_;
  if (log_lines_left_out_ > 0 && log_allowance_ >= kLogLinesPerSecond) {
    options_.log(
        fmt::format("{} lines about clients were left out", std::exchange(log_lines_left_out_, 0)));
  }
  if (line.empty()) return;
  if (log_allowance_ < 1 || log_lines_left_out_ > 0) {
    log_lines_left_out_++;
    return;
  }
  log_allowance_--;
  options_.log(fmt::format("[{}] {}", id, Printable(line)));
}

void WalServer::Impl::Cancel(uint32_t id, uint32_t key) {
  const auto it = connections_.find(id);
  if (it == connections_.end() || it->second->session->cancel_key() != key) return;
  it->second->session->Cancel();
  Pump(it->second.get());
}

Result<std::unique_ptr<WalServer>> WalServer::Open(WalServerOptions options) {
  ASSIGN_OR_RETURN(auto impl, Impl::Open(std::move(options)));
  return std::unique_ptr<WalServer>(new WalServer(std::move(impl)));
}
WalServer::WalServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WalServer::~WalServer() = default;

Status WalServer::Run(const CancelSignal& stop, const CancelSignal& reload) {
  return impl_->Run(stop, reload);
}
uint64_t WalServer::system_identifier() const { return impl_->source().system_identifier(); }
uint32_t WalServer::timeline() const { return impl_->source().timeline(); }
Lsn WalServer::end_of_wal() const { return impl_->source().end(); }
const std::string& WalServer::end_reason() const { return impl_->source().end_reason(); }
const std::string& WalServer::socket_path() const { return impl_->socket_path(); }
int WalServer::tcp_port() const { return impl_->tcp_port(); }

}  // namespace neon_redo

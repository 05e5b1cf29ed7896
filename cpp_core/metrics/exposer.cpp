// A server for one small page. prometheus-cpp's own gives each connection one of two threads for as
// long as its client likes, so two clients that do not read lock out Prometheus.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <deque>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "cpp_core/base/files.h"
#include "cpp_core/base/sockets.h"
#include "cpp_core/base/try.h"
#include "cpp_core/metrics/registry.h"
#include "neon_redo/cancel.h"

namespace neon_redo {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxRequest = 8 * 1024;
constexpr size_t kMaxConnections = 32;
constexpr std::chrono::seconds kTimeout{10};
constexpr std::chrono::milliseconds kAcceptPause{100};  // when descriptors are used up

struct Address {
  sockaddr_storage bytes{};
  socklen_t length = 0;
  std::string text;  // HOST:PORT
};

bool ParseHost(std::string_view host, uint16_t port, Address* out) {
  if (host.starts_with('[') && host.ends_with(']')) {
    auto* ip6 = reinterpret_cast<sockaddr_in6*>(&out->bytes);
    ip6->sin6_family = AF_INET6;
    ip6->sin6_port = htons(port);
    out->length = sizeof(*ip6);
    const std::string text(host.substr(1, host.size() - 2));
    return inet_pton(AF_INET6, text.c_str(), &ip6->sin6_addr) == 1;
  }
  auto* ip4 = reinterpret_cast<sockaddr_in*>(&out->bytes);
  ip4->sin_family = AF_INET;
  ip4->sin_port = htons(port);
  out->length = sizeof(*ip4);
  return inet_pton(AF_INET, std::string(host).c_str(), &ip4->sin_addr) == 1;
}

Result<Address> ParseAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  const bool bare = colon == std::string_view::npos;
  const std::string_view host = bare ? "127.0.0.1" : address.substr(0, colon);
  const std::string_view port = bare ? address : address.substr(colon + 1);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  Address out;
  if (error != std::errc{} || end != port.data() + port.size() || !ParseHost(host, number, &out))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("metrics address \"{}\" is neither PORT nor HOST:PORT with a "
                                 "numeric host, like 127.0.0.1:9187 or [::1]:9187",
                                 address));
  out.text = fmt::format("{}:{}", host, number);
  return out;
}

std::string Response(const char* status, const char* type, std::string_view body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, type, body.size(), body);
}

struct Connection {
  FileDescriptor fd;
  Clock::time_point deadline;
  std::string request;
  std::string response;  // empty: the request is not complete
  size_t sent = 0;
};

// Answers a request of which the head is there.
std::string Answer(std::string_view request, const MetricsRegistry& registry) {
  const std::string_view line = request.substr(0, request.find_first_of("\r\n"));
  if (!line.starts_with("GET "))
    return Response("405 Method Not Allowed", "text/plain", "only GET is served\n");
  const std::string_view path = line.substr(4, line.find_first_of(" ?", 4) - 4);
  if (path != "/metrics") return Response("404 Not Found", "text/plain", "see /metrics\n");
  return Response("200 OK", "text/plain; version=0.0.4; charset=utf-8", registry.ToText());
}

// Does what the socket allows. False: the connection is at its end.
bool Proceed(Connection* c, const MetricsRegistry& registry) {
  if (c->response.empty()) {
    char buffer[1024];
    const ssize_t n = recv(c->fd.get(), buffer, sizeof(buffer), 0);
    if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
    c->request.append(buffer, static_cast<size_t>(n));
    if (c->request.find("\r\n\r\n") == std::string::npos) return c->request.size() < kMaxRequest;
    c->response = Answer(c->request, registry);
  }
  const ssize_t n =
      send(c->fd.get(), c->response.data() + c->sent, c->response.size() - c->sent, MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  c->sent += static_cast<size_t>(n);
  if (c->sent < c->response.size()) return true;
  shutdown(c->fd.get(), SHUT_WR);
  return false;
}

}  // namespace

MetricsRegistry::MetricsRegistry() : impl_(new Impl) {}
MetricsRegistry::~MetricsRegistry() = default;

std::string MetricsRegistry::ToText() const {
  return prometheus::TextSerializer().Serialize(impl_->registry->Collect());
}

// The server: a listener, and a thread that serves.
class MetricsExposer::Impl {
 public:
  explicit Impl(std::shared_ptr<MetricsRegistry> metrics) : registry(std::move(metrics)) {}
  ~Impl() {
    stop.Set();
    if (thread.joinable()) thread.join();
  }
  void Serve();

  const std::shared_ptr<MetricsRegistry> registry;
  FileDescriptor listener;
  CancelSignal stop;
  std::thread thread;
};

Result<std::unique_ptr<MetricsExposer>> MetricsExposer::Open(
    const std::string& address, std::shared_ptr<MetricsRegistry> registry) {
  ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
  if (registry == nullptr) registry = std::make_shared<MetricsRegistry>();
  auto impl = std::make_unique<Impl>(std::move(registry));
  auto failed = [&parsed](const char* why) {
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not serve metrics on {}: {}", parsed.text, why));
  };
  impl->listener = ListenOn(reinterpret_cast<const sockaddr*>(&parsed.bytes), parsed.length);
  if (!impl->listener) return failed(strerror(errno));
  try {
    impl->thread = std::thread([server = impl.get()] { server->Serve(); });
  } catch (const std::system_error& e) {
    return failed(e.what());
  }
  return std::unique_ptr<MetricsExposer>(new MetricsExposer(std::move(impl)));
}

MetricsExposer::MetricsExposer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsExposer::~MetricsExposer() = default;

const std::shared_ptr<MetricsRegistry>& MetricsExposer::registry() const { return impl_->registry; }

int MetricsExposer::port() const { return PortOf(impl_->listener); }

// Connections stand in the order of their deadlines.
void MetricsExposer::Impl::Serve() {
  std::deque<Connection> connections;
  std::vector<pollfd> fds;
  auto listen_again = Clock::time_point::min();
  for (;;) {
    const auto before = Clock::now();
    const short listens = before >= listen_again ? POLLIN : 0;
    fds = {{stop.fd(), POLLIN, 0}, {listener.get(), listens, 0}};
    for (const Connection& c : connections)
      fds.push_back({c.fd.get(), static_cast<short>(c.response.empty() ? POLLIN : POLLOUT), 0});
    auto next = before + kTimeout;
    if (!connections.empty()) next = std::min(next, connections.front().deadline);
    if (!listens) next = std::min(next, listen_again);
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - before).count();
    poll(fds.data(), fds.size(), static_cast<int>(std::max<int64_t>(wait, 0)));
    if (fds[0].revents) return;
    const auto now = Clock::now();
    std::deque<Connection> kept;
    for (size_t i = 0; i < connections.size(); i++) {
      Connection& c = connections[i];
      if (now >= c.deadline || (fds[i + 2].revents && !Proceed(&c, *registry))) continue;
      kept.push_back(std::move(c));
    }
    connections = std::move(kept);
    if (!fds[1].revents) continue;
    FileDescriptor fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.get() < 0) {
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        listen_again = now + kAcceptPause;
      continue;
    }
    if (connections.size() >= kMaxConnections) connections.pop_front();
    connections.push_back({std::move(fd), now + kTimeout, {}, {}, 0});
  }
}

}  // namespace neon_redo

#include "cpp_core/wal_server/listen.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "cpp_core/base/sockets.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr int kSocketFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
// Of a Unix socket. The kernel doubles it, to 512 kB, but goes by net.core.wmem_max before (by
// default 208 kB). It has to last for more than WalServer's refill interval.
constexpr int kSendBuffer = 256 * 1024;

tl::unexpected<Error> ListenError(const std::string& where) {
  return MakeError(ErrorCode::kIo,
                   fmt::format("could not listen on \"{}\": {}", where, strerror(errno)));
}

// A socket file that nobody listens on is left of a server that was killed.
Status ClearStaleSocket(const std::string& path, const sockaddr_un& address) {
  const FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | kSocketFlags, 0));
  if (!probe) return ListenError(path);
  const int connected =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (connected == 0 || errno == EAGAIN)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("another server listens on \"{}\"; choose another --port or --socket", path));
  struct stat st;
  if (errno == ECONNREFUSED && lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode))
    unlink(path.c_str());
  return {};
}

}  // namespace

Result<FileDescriptor> ListenLocal(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is too long for a Unix socket's path", path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  RETURN_IF_ERROR(ClearStaleSocket(path, address));
  const mode_t mask = umask(0077);  // the socket's mode is 0700 from its first moment
  FileDescriptor fd = ListenOn(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  umask(mask);
  if (!fd) return ListenError(path);
  return fd;
}

Result<FileDescriptor> ListenTcp(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (colon == std::string::npos || host.empty() || colon + 1 == address.size())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is not an address to listen on: expected HOST:PORT, as in "
                                 "127.0.0.1:5432 or [::1]:5432",
                                 address));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found);
  if (error != 0)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("\"{}\" is not an address to listen on: {}", address, gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  FileDescriptor fd = ListenOn(found->ai_addr, found->ai_addrlen);
  if (!fd) return ListenError(address);
  return fd;
}

FileDescriptor AcceptPeer(int listener, bool local, Peer* peer) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  FileDescriptor fd(
      accept4(listener, reinterpret_cast<sockaddr*>(&address), &length, kSocketFlags));
  if (fd.get() < 0) return fd;
  peer->local = local;
  if (local) {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    peer->permitted = getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
                      credentials.uid == geteuid();
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
    return fd;
  }
  char host[NI_MAXHOST];
  char service[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof(host), service,
                  sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
    peer->address = host;
    peer->port = atoi(service);
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  return fd;
}

}  // namespace neon_redo

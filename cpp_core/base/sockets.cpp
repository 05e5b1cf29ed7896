#include "cpp_core/base/sockets.h"

#include <netinet/in.h>

#include <cerrno>

namespace neon_redo {

FileDescriptor ListenOn(const sockaddr* address, socklen_t length) {
  FileDescriptor listener(
      socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return listener;
  const int on = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener.get(), address, length) == 0 && listen(listener.get(), SOMAXCONN) == 0)
    return listener;
  const int error = errno;
  listener.Reset();
  errno = error;
  return listener;
}

int PortOf(const FileDescriptor& listener) {
  sockaddr_in6 address{};  // its port is where sockaddr_in has it
  socklen_t length = sizeof(address);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin6_port);
}

}  // namespace neon_redo

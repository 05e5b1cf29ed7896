#include "cpp_core/wal_server/turn.h"

#include <sys/socket.h>

#include <cerrno>

namespace neon_redo {

static constexpr size_t kReceiveTurn = 64 << 10;

bool ReadsInput(const Session& session) {
  return session.wants_input() && session.output().buffered() < Session::kMaxOutput;
}

bool ContinueHandshake(Session* session, TlsStream* tls) {
  const ssize_t n = tls->Handshake();
  if (n > 0) session->TlsEstablished(tls->channel_binding());
  return n > 0 || (n < 0 && errno == EAGAIN);
}

bool ReceiveInput(Session* session, TlsStream* tls, int socket, Session::Clock::time_point now) {
  char buffer[16 * 1024];
  for (size_t received = 0;
       ReadsInput(*session) && !session->turn_over() && received < kReceiveTurn;) {
    const ssize_t n =
        tls ? tls->Receive(buffer, sizeof(buffer)) : recv(socket, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) return false;
    received += static_cast<size_t>(n);
    session->Feed({buffer, static_cast<size_t>(n)}, now);
    if (!tls && static_cast<size_t>(n) < sizeof(buffer)) return true;
  }
  return true;
}

}  // namespace neon_redo

// What a turn of a client's connection takes from the client.
#ifndef NEON_REDO_WAL_SERVER_TURN_H_
#define NEON_REDO_WAL_SERVER_TURN_H_

#include "cpp_core/wal_server/session.h"
#include "cpp_core/wal_server/tls.h"

namespace neon_redo {

// False: what the client says stays in the socket.
bool ReadsInput(const Session& session);

// A step of the handshake; the session is told of its end. False: it failed.
bool ContinueHandshake(Session* session, TlsStream* tls);

// Feeds the session until there is no more input, or the turn is over: its work, or 64 kB. `tls`:
// null without TLS; then `socket` is read. False: the connection is at its end; the stream may have
// a problem() to log.
bool ReceiveInput(Session* session, TlsStream* tls, int socket, Session::Clock::time_point now);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_TURN_H_

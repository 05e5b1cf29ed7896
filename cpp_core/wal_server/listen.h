// The sockets a WAL sender listens on.
#ifndef NEON_REDO_WAL_SERVER_LISTEN_H_
#define NEON_REDO_WAL_SERVER_LISTEN_H_

#include <string>

#include "cpp_core/base/files.h"
#include "cpp_core/wal_server/session.h"
#include "neon_redo/error.h"

namespace neon_redo {

// A Unix socket of mode 0700. A file of that name is taken over if nobody listens on it.
Result<FileDescriptor> ListenLocal(const std::string& path);

// HOST:PORT, [IPV6]:PORT; port 0 is any free one. kInvalidArgument: not an address.
Result<FileDescriptor> ListenTcp(const std::string& address);

// The next connection, and who is at its other end. An invalid descriptor: there is none now.
FileDescriptor AcceptPeer(int listener, bool local, Peer* peer);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_LISTEN_H_

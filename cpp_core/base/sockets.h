// What servers do with sockets of their own.
#ifndef NEON_REDO_BASE_SOCKETS_H_
#define NEON_REDO_BASE_SOCKETS_H_

#include <sys/socket.h>

#include "cpp_core/base/file_descriptor.h"

namespace neon_redo {

// A stream socket that listens on the address and blocks nobody. Invalid: errno says why.
FileDescriptor ListenOn(const sockaddr* address, socklen_t length);

// The port of a listening socket; the kernel has chosen it when 0 was asked for.
int PortOf(const FileDescriptor& listener);

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_SOCKETS_H_

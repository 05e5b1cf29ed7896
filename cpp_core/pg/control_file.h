// The control file of a worker's home: what `postgres --single` checks before it starts.
#ifndef NEON_REDO_PG_CONTROL_FILE_H_
#define NEON_REDO_PG_CONTROL_FILE_H_

#include <string>

namespace neon_redo {

// The bytes of global/pg_control for the server version this library is compiled for: a cluster
// that was shut down cleanly and holds nothing. Byte order and alignment are this machine's.
std::string ControlFileBytes();

// The content of PG_VERSION: the major version and a newline.
std::string VersionFileBytes();

}  // namespace neon_redo

#endif  // NEON_REDO_PG_CONTROL_FILE_H_

// How many files the process may have open (RLIMIT_NOFILE).
#ifndef NEON_REDO_BASE_OPEN_FILES_H_
#define NEON_REDO_BASE_OPEN_FILES_H_

#include <cstddef>

namespace neon_redo {

// How many files the process may have open. Thread-safe.
size_t OpenFileLimit();

// Raises the limit to `wanted`, or as far as the system lets an unprivileged process raise it, and
// never lowers it. Returns the limit. Call before other threads depend on it.
size_t RaiseOpenFileLimit(size_t wanted);

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_OPEN_FILES_H_

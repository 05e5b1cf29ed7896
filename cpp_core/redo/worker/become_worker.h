// `neon-redo worker`: this process becomes a redo worker, for clients of the protocol that launch
// their worker themselves.
#ifndef NEON_REDO_REDO_WORKER_BECOME_WORKER_H_
#define NEON_REDO_REDO_WORKER_BECOME_WORKER_H_

#include <string>

#include "cpp_core/redo/worker/command_line.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Replaces this process by a worker on the same standard streams, as the user (empty: "postgres")
// when it is root. Returns only if that fails. The process must have one thread only.
Error BecomeWorker(WorkerServer server, const std::string& user);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_BECOME_WORKER_H_

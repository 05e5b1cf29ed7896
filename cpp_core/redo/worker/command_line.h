// How a redo worker is started: program, arguments, environment, user. RedoWorker and
// `neon-redo worker` both start it from here, so a setting has one place.
#ifndef NEON_REDO_REDO_WORKER_COMMAND_LINE_H_
#define NEON_REDO_REDO_WORKER_COMMAND_LINE_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "cpp_core/pg/version.h"
#include "neon_redo/error.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// Which server to run as a worker, and how.
struct WorkerServer {
  std::string bindir;                    // as WorkerOptions::bindir
  const pg::Version* version = nullptr;  // of that server; null: VersionOf
  std::string module;                    // as WorkerOptions::module
  bool sandbox = true;                   // neon.redo_sandbox: on or off
  bool sandbox_log = false;              // neon.redo_sandbox: log, to find what the policy lacks
  std::optional<bool> landlock;          // neon.redo_landlock; empty: where the kernel has it
  bool namespaces = false;               // neon.redo_namespaces
  std::optional<int> memory_limit_mb;    // neon.redo_memory_limit; empty: the module's default
};

// The layers that a worker started with these options has.
SandboxLayers LayersOf(const WorkerServer& server);

// The version of Landlock's interface that this kernel offers (landlock(7)); 0: none.
int LandlockVersion();

// Of the server whose pg_config this library was built with.
const pg::Version& BuildVersion();

// The one rule for when neither WAL, nor a control file, nor PG_VERSION, nor a capture says the version:
// it is the one that the module or the server says (VersionOfFiles), else BuildVersion. Which servers are
// installed does not matter. kUnsupported: as of VersionOfFiles.
Result<const pg::Version*> VersionOf(const std::string& bindirs, const std::string& modules);

// Replaces bindir, module and version by the ones that are used: one directory and one file (empty:
// the server finds the module), both of the version (server_files.h). kNotFound, with what to do,
// when there are none.
Status ResolveServer(WorkerServer* server);

// Whether ResolveServer would find what a worker with these options needs for data of this version:
// to be asked before much is done with an engine that may launch one.
Status CheckWorkerFiles(const WorkerOptions& options, const pg::Version& version, Engine engine);

// The functions below take a server after ResolveServer.

// The absolute path of postgres.
std::string WorkerProgram(const WorkerServer& server);

// argv; the first element is the program.
std::vector<std::string> WorkerArguments(const WorkerServer& server, const std::string& program,
                                         const std::string& home);

// The environment of a worker: nothing of the host program's. program: as from WorkerProgram. Where
// stub libraries made for this very program (src/worker/stubs/make_stubs.sh) lie beside the module,
// they are in its library path: it starts five times as fast.
std::vector<std::string> WorkerEnvironment(const WorkerServer& server, const std::string& program);

// A user to become. Without its supplementary groups: they may read what a worker has no use for
// (Debian's ssl-cert: private keys).
struct UserIdentity {
  uid_t uid;
  gid_t gid;
};

// The server refuses to run as root. When this process is root: the identity of user (empty:
// "postgres"), kNotFound when there is none. Else empty: the worker keeps this process's user.
Result<std::optional<UserIdentity>> WorkerUser(const std::string& user);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_COMMAND_LINE_H_

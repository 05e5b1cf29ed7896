// What of a worker's sandbox this system supports, found out by starting workers.
#ifndef NEON_REDO_REDO_WORKER_EXAMINE_SANDBOX_H_
#define NEON_REDO_REDO_WORKER_EXAMINE_SANDBOX_H_

#include <string>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/worker.h"

namespace neon_redo {

struct LayerReport {
  std::string name;   // "filter", "landlock", "namespaces"
  std::string what;   // what it takes away, in words
  bool on = false;    // a worker started with these options has it
  Status supported;   // a worker with this layer started; else why not
  std::string notes;  // "interface version 7"; may be empty
};

struct SandboxReport {
  std::string kernel;  // "Linux 6.1.0-18-amd64 x86_64"
  Status worker;       // a worker with these options started and answered; else why not
  std::vector<LayerReport> layers;
  // Of /proc/PID/status of that worker: "Seccomp", "NoNewPrivs", "CapEff", …
  std::vector<std::pair<std::string, std::string>> facts;
};

// Starts a worker with these options, then one for each layer with that layer alone, all of a
// server (options.command and options.program are ignored). They are gone when it returns.
SandboxReport ExamineSandbox(WorkerOptions options);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_EXAMINE_SANDBOX_H_

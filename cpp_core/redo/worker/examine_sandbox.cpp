#include "cpp_core/redo/worker/examine_sandbox.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>

#include "cpp_core/redo/worker/command_line.h"

namespace neon_redo {

namespace {

constexpr const char* kFacts[] = {"NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "Threads"};

std::vector<std::pair<std::string, std::string>> ReadFacts(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::vector<std::pair<std::string, std::string>> facts;
  for (std::string line; std::getline(file, line);) {
    for (const std::string name : kFacts) {
      if (!line.starts_with(name + ":")) continue;
      const size_t value = line.find_first_not_of(" \t", name.size() + 1);
      facts.emplace_back(name, value == std::string::npos ? "" : line.substr(value));
    }
  }
  return facts;
}

std::string KernelName() {
  utsname name{};
  uname(&name);
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

// Whether a worker with the layer starts.
Status TryLayer(WorkerOptions options, bool landlock, bool namespaces) {
  options.sandbox = true;
  options.landlock = landlock;
  options.namespaces = namespaces;
  return RedoWorker(std::move(options)).Start();
}

}  // namespace

SandboxReport ExamineSandbox(WorkerOptions options) {
  options.command.clear();
  options.program.clear();
  SandboxReport report;
  report.kernel = KernelName();
  RedoWorker worker(options);
  report.worker = worker.Start();
  if (report.worker) report.facts = ReadFacts(worker.pid());
  const SandboxLayers on = worker.sandbox();
  worker.Stop();

  const std::string version =
      LandlockVersion() > 0 ? fmt::format("interface version {}", LandlockVersion()) : "";
  report.layers = {
      {"filter", "every system call but a dozen", on.filter, TryLayer(options, false, false), ""},
      {"landlock", "the file system, TCP ports", on.landlock, TryLayer(options, true, false),
       version},
      {"namespaces", "the network, other users, System V IPC", on.namespaces,
       TryLayer(options, false, true), "costs launch time"}};
  return report;
}

}  // namespace neon_redo

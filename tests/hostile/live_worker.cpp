// live_worker MODULE [namespaces] [no-landlock] [no-sandbox] [manager]: starts a real worker as an
// embedder would, by itself or by a manager, prints what the client knows of it as one line of
// JSON, then waits for the end of its input. A line of input is a ping.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "neon_redo/manager.h"
#include "neon_redo/worker.h"

namespace {

using namespace neon_redo;

void Print(pid_t pid, const SandboxLayers& layers) {
  const nlohmann::json known = {{"pid", pid},
                                {"filter", layers.filter},
                                {"landlock", layers.landlock},
                                {"namespaces", layers.namespaces}};
  std::printf("%s\n", known.dump().c_str());
  std::fflush(stdout);
}

// Pings, prints, and waits for a line, again and again.
template <typename Ping, typename PrintKnown>
int Serve(Ping ping, PrintKnown print_known) {
  std::string line;
  do {
    if (const Status status = ping(); !status) {
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
      return 1;
    }
    print_known();
  } while (std::getline(std::cin, line));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  WorkerOptions options;
  bool managed = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "namespaces") {
      options.namespaces = true;
    } else if (argument == "no-landlock") {
      options.landlock = false;
    } else if (argument == "no-sandbox") {
      options.sandbox = false;
    } else if (argument == "manager") {
      managed = true;
    } else {
      options.module = argument;
    }
  }
  if (managed) {
    ManagerOptions manager_options;
    manager_options.worker = options;
    RedoManager manager(manager_options);
    return Serve([&] { return manager.Ping(); },
                 [&] {
                   const WorkerStatus worker = manager.status().workers.at(0);
                   Print(worker.pid, worker.sandbox);
                 });
  }
  RedoWorker worker(options);
  return Serve([&] { return worker.Ping(); }, [&] { Print(worker.pid(), worker.sandbox()); });
}

// live_worker MODULE [namespaces] [no-landlock]: starts a real worker as an embedder would, prints
// what the client knows of it as one line of JSON, then waits for the end of its input. A line of
// input is a ping.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "cpp_core/redo/worker_process.h"

int main(int argc, char** argv) {
  neon_redo::WorkerOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "namespaces") {
      options.namespaces = true;
    } else if (argument == "no-landlock") {
      options.landlock = false;
    } else {
      options.module = argument;
    }
  }
  neon_redo::RedoWorker worker(options);
  std::string line;
  do {
    if (const neon_redo::Status status = worker.Ping(); !status) {
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
      return 1;
    }
    const neon_redo::SandboxLayers layers = worker.sandbox();
    const nlohmann::json known = {{"pid", worker.pid()},
                                  {"filter", layers.filter},
                                  {"landlock", layers.landlock},
                                  {"namespaces", layers.namespaces}};
    std::printf("%s\n", known.dump().c_str());
    std::fflush(stdout);
  } while (std::getline(std::cin, line));
  return 0;
}

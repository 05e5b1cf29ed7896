// neon-redo worker
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cpp_core/redo/worker/become_worker.h"

namespace neon_redo::cli {

void AddWorker(CLI::App* app, int* exit_status) {
  struct Options {
    WorkerServer server;
    std::string user;
    int memory_limit = 0;
    bool no_sandbox = false;
    bool no_landlock = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("worker", "Become a redo worker on stdin and stdout");
  command->footer(
      "The process becomes a sandboxed PostgreSQL that answers the frames of docs/protocol.md "
      "until\n"
      "the end of its input. As root it changes user first. Arguments that it does not know, such\n"
      "as Neon's --wal-redo and --tenant-shard-id X, are ignored, so that any client of the\n"
      "protocol can launch it.\n\n"
      "Example: a ping, answered with 8192 zero bytes\n"
      "  printf 'H\\0\\0\\0\\4' | neon-redo worker | wc -c");
  command->allow_extras();
  command->add_option("--bindir", options->server.bindir,
                      "directory of the server's programs (default: " NEON_REDO_DEFAULT_BINDIR ")");
  command->add_option("--module", options->server.module,
                      "path of neon.so (default: the installed one)");
  command->add_option("--user", options->user, "user to become when root (default: postgres)");
  command
      ->add_option("--memory-limit", options->memory_limit,
                   "MiB that the worker may add to what it has when it starts")
      ->check(CLI::PositiveNumber);
  command->add_flag("--no-sandbox", options->no_sandbox,
                    "debugging only: the WAL could do anything that the user may");
  command->add_flag("--sandbox-log", options->server.sandbox_log,
                    "debugging only: forbidden system calls go through, into the audit log");
  command->add_flag("--no-landlock", options->no_landlock,
                    "without this layer of the sandbox, which is on where the kernel has it");
  command->add_flag("--namespaces", options->server.namespaces,
                    "with this layer of the sandbox too, where the system grants it");
  command->callback([options, exit_status] {
    options->server.sandbox = !options->no_sandbox;
    if (options->no_landlock) options->server.landlock = false;
    if (options->memory_limit > 0) options->server.memory_limit_mb = options->memory_limit;
    const Error error = BecomeWorker(options->server, options->user);
    std::fprintf(stderr, "neon-redo: %s\n", error.message.c_str());
    *exit_status = kExitTrouble;
  });
}

}  // namespace neon_redo::cli

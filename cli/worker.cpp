// neon-redo worker
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cpp_core/redo/worker/become_worker.h"

namespace neon_redo::cli {

namespace {

struct WorkerArguments {
  WorkerServer server;
  std::string user;
  uint64_t memory_limit = 0;  // bytes; 0: the module's default
};

constexpr uint64_t kMegabyte = uint64_t{1} << 20;

}  // namespace

CommandFunction DeclareWorker(Options* options) {
  auto arguments = std::make_shared<WorkerArguments>();
  options->Usage("[OPTION]...");
  // Clients of the protocol start workers with arguments of their own, such as Neon's --wal-redo.
  options->IgnoreUnknown();
  AddModule(options, &arguments->server.bindir, &arguments->server.module, &arguments->user);
  AddUntestedVersion(options);
  options->Size("--memory-limit=SIZE", &arguments->memory_limit, kMegabyte,
                "memory that the worker may use on top of what it has when it starts");
  AddSandboxLayers(options, &arguments->server.sandbox, &arguments->server.landlock,
                   &arguments->server.namespaces);
  options->Flag("--sandbox-log", &arguments->server.sandbox_log,
                "let forbidden system calls pass and write them to the audit log, for debugging "
                "only");
  options->Notes(
      "The process becomes a sandboxed PostgreSQL server, of the major version of the\n"
      "first --module, else of the first --bindir, else of the server that the program\n"
      "was built for. It answers the frames that docs/protocol.md describes until its\n"
      "input ends. Root changes to another user first. The command ignores arguments that it does not know, such as Neon's\n"
      "--wal-redo and --tenant-shard-id X, so that any client of the protocol can\n"
      "start it.\n\n"
      "Example: a ping, which is answered with 8192 zero bytes\n"
      "  printf 'H\\0\\0\\0\\4' | neon-redo worker | wc -c\n");
  return [arguments]() -> Outcome {
    if (arguments->memory_limit > 0)
      arguments->server.memory_limit_mb = static_cast<int>(arguments->memory_limit / kMegabyte);
    return tl::unexpected(Failure(BecomeWorker(arguments->server, arguments->user)));
  };
}

}  // namespace neon_redo::cli

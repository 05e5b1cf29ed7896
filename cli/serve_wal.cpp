// neon-redo serve-wal: streaming replication from a directory of WAL segments.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/stop_signal.h"
#include "cpp_core/walsender/server.h"

namespace neon_redo::cli {

namespace {

struct Options {
  std::string wal;
  std::string socket = "/tmp";
  int port = 5432;
  std::string slots;
  bool follow = false;
  size_t max_connections = 100;
  double timeout = 60;
};

void Say(const std::string& message) { fmt::print(stderr, "neon-redo serve-wal: {}\n", message); }

int Trouble(const std::string& message) {
  Say("error: " + message);
  return kExitTrouble;
}

int Run(const Options& options) {
  WalServerOptions server_options;
  server_options.wal = options.wal;
  server_options.socket_directory = options.socket;
  server_options.port = options.port;
  server_options.slots_file = options.slots;
  server_options.follow = options.follow;
  server_options.max_connections = options.max_connections;
  server_options.sender_timeout =
      std::chrono::milliseconds(static_cast<int64_t>(options.timeout * 1000));
  server_options.log = Say;
  const CancelSignal& stop = StopOnSignals();
  const auto server = WalServer::Open(std::move(server_options));
  if (!server) return Trouble(server.error().message);
  const WalSource& source = (*server)->source();
  Say(fmt::format("system {}, timeline {}, valid WAL up to {} ({})", source.system_identifier(),
                  source.timeline(), source.end().ToString(), source.end_reason()));
  Say(fmt::format("listening on \"{}\"", (*server)->socket_path()));
  if (const Status done = (*server)->Run(stop); !done) return Trouble(done.error().message);
  Say("stopped");
  return kExitFine;
}

}  // namespace

void AddServeWal(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand(
      "serve-wal", "Streams WAL from a directory of segments to standbys and receivers.");
  command->add_option("--wal", options->wal, "directory of segments: an archive, or a pg_wal")
      ->type_name("DIR")
      ->required();
  command->add_option("--socket", options->socket, "directory of the Unix socket")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--port", options->port, "port number in the socket's name")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  command->add_flag("--follow", options->follow, "send WAL that comes while it runs");
  command
      ->add_option("--slots", options->slots,
                   "file for replication slots (serve-wal.slots in the WAL directory; it is "
                   "made with the first slot)")
      ->type_name("FILE");
  command->add_option("--max-connections", options->max_connections, "clients at a time")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command
      ->add_option("--timeout", options->timeout,
                   "seconds without a word after which a client is given up; 0: never")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->footer(
      "Only processes of the same operating system user may connect. SIGINT and SIGTERM stop it\n"
      "once clients have all WAL; a second signal stops it at once.\n"
      "Exit status: 0 stopped, 2 anything else.\n\n"
      "Example:\n"
      "  neon-redo serve-wal --wal /archive/wal --socket /run/archive --follow\n"
      "  pg_receivewal -h /run/archive -D copy");
  command->callback([options, exit_status] { *exit_status = Run(*options); });
}

}  // namespace neon_redo::cli

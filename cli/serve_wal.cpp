// neon-redo serve-wal: streaming replication from a directory of WAL segments.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/metrics_option.h"
#include "cli/stop_signal.h"
#include "neon_redo/receiver.h"
#include "neon_redo/wal_server.h"

namespace neon_redo::cli {

namespace {

struct Options {
  std::string wal;
  std::string socket = "/tmp";
  int port = 5432;
  std::string slots;
  bool follow = false;
  std::string listen;
  std::string users;
  std::string tls_cert;
  std::string tls_key;
  std::string metrics;
  bool status = false;
  bool json = false;
  size_t max_connections = 100;
  size_t max_connections_per_role = 0;
  size_t max_replication_slots = 10;
  double timeout = 60;
};

constexpr const char* kStatusClient = "serve-wal-status";

void Say(const std::string& message) { fmt::print(stderr, "neon-redo serve-wal: {}\n", message); }

int Trouble(const std::string& message) {
  Say("error: " + message);
  return kExitTrouble;
}

std::string Text(const nlohmann::json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:.1f}", value.get<double>());
  return value.dump();
}

void PrintTable(const nlohmann::json& status) {
  fmt::print("system {}, timeline {}, valid WAL up to {}\n", Text(status["system_identifier"]),
             Text(status["timeline"]), Text(status["end_lsn"]));
  constexpr const char* kColumns[] = {
      "pid",       "usename",    "application_name",  "client_addr", "state",    "sent_lsn",
      "flush_lsn", "replay_lsn", "sent_bytes_behind", "reply_age",   "slot_name"};
  std::vector<std::vector<std::string>> rows{{std::begin(kColumns), std::end(kColumns)}};
  for (const nlohmann::json& sender : status["wal_senders"]) {
    if (Text(sender["state"]) == "startup" && Text(sender["application_name"]) == kStatusClient)
      continue;  // it is us
    auto& row = rows.emplace_back();
    for (const char* column : kColumns) row.push_back(Text(sender[column]));
  }
  std::vector<size_t> widths(std::size(kColumns));
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); i++) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

// SIGHUP, as PostgreSQL has it.
const CancelSignal& ReloadOnSignal() {
  static const CancelSignal reload;
  signal(SIGHUP, [](int) { reload.Set(); });
  return reload;
}

// Asks the server that runs on the socket.
int ShowStatus(const Options& options) {
  const CancelSignal cancel;
  ReceiverOptions receiver_options;
  receiver_options.connect.conninfo =
      fmt::format("host='{}' port={} user=status application_name={}", options.socket, options.port,
                  kStatusClient);
  WalReceiver receiver(receiver_options, cancel);
  if (const Status connected = receiver.Connect(); !connected)
    return Trouble(connected.error().message);
  const auto text = receiver.Show("neon_redo.status");
  if (!text) return Trouble(text.error().message);
  const auto status = nlohmann::json::parse(*text, nullptr, false);
  if (status.is_discarded()) return Trouble("the server's answer is not as expected");
  if (options.json)
    fmt::print("{}\n", status.dump(2));
  else
    PrintTable(status);
  return kExitFine;
}

int Run(const Options& options) {
  if (options.status) return ShowStatus(options);
  if (options.wal.empty()) return Trouble("--wal is required");
  WalServerOptions server_options;
  server_options.wal = options.wal;
  server_options.socket_directory = options.socket;
  server_options.port = options.port;
  server_options.slots_file = options.slots;
  server_options.follow = options.follow;
  server_options.listen = options.listen;
  server_options.users_file = options.users;
  server_options.tls_certificate = options.tls_cert;
  server_options.tls_key = options.tls_key;
  server_options.metrics = options.metrics;
  server_options.max_connections = options.max_connections;
  server_options.max_connections_per_role = options.max_connections_per_role;
  server_options.max_replication_slots = options.max_replication_slots;
  server_options.sender_timeout =
      std::chrono::milliseconds(static_cast<int64_t>(options.timeout * 1000));
  server_options.log = Say;
  const CancelSignal& stop = StopOnSignals();
  const CancelSignal& reload = ReloadOnSignal();
  const auto server = WalServer::Open(std::move(server_options));
  if (!server) return Trouble(server.error().message);
  const WalSource& source = (*server)->source();
  Say(fmt::format("system {}, timeline {}, valid WAL up to {} ({})", source.system_identifier(),
                  source.timeline(), source.end().ToString(), source.end_reason()));
  if (!options.listen.empty())
    Say(fmt::format("TLS on \"{}\", port {}", options.listen, (*server)->tcp_port()));
  Say(fmt::format("listening on \"{}\"", (*server)->socket_path()));
  if (const Status done = (*server)->Run(stop, reload); !done) return Trouble(done.error().message);
  Say("stopped");
  return kExitFine;
}

}  // namespace

void AddServeWal(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand(
      "serve-wal", "Stream WAL from a directory of segments to standbys and receivers");
  command->add_option("--wal", options->wal, "directory of segments: an archive, or a pg_wal")
      ->type_name("DIR");
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
  auto* listen = command->add_option(
      "--listen", options->listen,
      "also serve TCP, with TLS 1.2 or later and SCRAM-SHA-256; port 0: any free one");
  auto* users = command->add_option("--users", options->users,
                                    "file with a line NAME:VERIFIER for each role that may "
                                    "connect by TCP, the verifier as in pg_authid.rolpassword");
  auto* cert = command->add_option("--tls-cert", options->tls_cert, "certificate, PEM");
  auto* key = command->add_option("--tls-key", options->tls_key, "private key, PEM");
  listen->type_name("HOST:PORT")->needs(users)->needs(cert)->needs(key);
  for (auto* option : {users, cert, key}) option->type_name("FILE")->needs(listen);
  AddMetricsOption(command, &options->metrics);
  auto* status = command->add_flag("--status", options->status,
                                   "show what the server on --socket and --port is doing");
  command->add_flag("--json", options->json, "as JSON")->needs(status);
  command
      ->add_option("--max-connections-per-role", options->max_connections_per_role,
                   "clients of one role name at a time; 0: no limit of its own")
      ->capture_default_str();
  command->add_option("--max-connections", options->max_connections, "clients at a time")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command
      ->add_option("--max-replication-slots", options->max_replication_slots,
                   "slots that clients may make; 0: none")
      ->capture_default_str();
  command
      ->add_option("--timeout", options->timeout,
                   "seconds without a word after which a client is given up; 0: never")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->footer(
      "By the Unix socket only processes of the same operating system user may connect. SIGINT "
      "and\n"
      "SIGTERM stop it once clients have all WAL; a second signal stops it at once. On SIGHUP it\n"
      "reads users file, certificate and key again.\n"
      "Exit status: 0 stopped, 2 anything else.\n\n"
      "Example:\n"
      "  neon-redo serve-wal --wal /archive/wal --socket /run/archive --follow\n"
      "  pg_receivewal -h /run/archive -D copy\n"
      "  neon-redo serve-wal --status --socket /run/archive");
  command->callback([options, exit_status] { *exit_status = Run(*options); });
}

}  // namespace neon_redo::cli

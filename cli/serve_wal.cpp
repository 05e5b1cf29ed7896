// neon-redo serve-wal: streaming replication from a directory of WAL segments.
#include <fmt/format.h>

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
#include "cli/common_options.h"
#include "cli/stop_signal.h"
#include "cpp_core/base/try.h"
#include "neon_redo/describe.h"
#include "neon_redo/receiver.h"
#include "neon_redo/wal_server.h"

namespace neon_redo::cli {

namespace {

struct ServeWalArguments {
  std::string wal;
  std::string stanza;
  std::string cipher_pass_file;
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
  std::chrono::duration<double> timeout{60};
};

constexpr const char* kStatusClient = "serve-wal-status";

// A member in words; empty: it is null, or not there. The server may have sent anything.
std::string Text(const nlohmann::json& object, const char* name) {
  const auto it = object.is_object() ? object.find(name) : object.end();
  if (it == object.end() || it->is_null()) return "";
  if (it->is_string()) return Printable(it->get_ref<const std::string&>());
  if (it->is_number_float()) return fmt::format("{:.1f}", it->get<double>());
  return Printable(it->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
}

// The server lists the connection that asks, too.
void LeaveOutThisConnection(nlohmann::json* status) {
  const auto senders = status->find("wal_senders");
  if (senders == status->end() || !senders->is_array()) return;
  auto others = nlohmann::json::array();
  for (nlohmann::json& sender : *senders) {
    if (Text(sender, "state") != "startup" || Text(sender, "application_name") != kStatusClient)
      others.push_back(std::move(sender));
  }
  *senders = std::move(others);
}

void PrintTable(const nlohmann::json& status) {
  fmt::print("system {}, timeline {}, valid WAL up to {}\n", Text(status, "system_identifier"),
             Text(status, "timeline"), Text(status, "end_lsn"));
  constexpr const char* kColumns[] = {
      "pid",       "usename",    "application_name",  "client_addr", "state",    "sent_lsn",
      "flush_lsn", "replay_lsn", "sent_bytes_behind", "reply_age",   "slot_name"};
  std::vector<std::vector<std::string>> rows{{std::begin(kColumns), std::end(kColumns)}};
  const auto senders = status.find("wal_senders");
  for (const nlohmann::json& sender :
       senders != status.end() ? *senders : nlohmann::json::array()) {
    auto& row = rows.emplace_back();
    for (const char* column : kColumns) row.push_back(Text(sender, column));
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
Outcome ShowStatus(const ServeWalArguments& arguments) {
  const CancelSignal cancel;
  ReceiverOptions receiver_options;
  receiver_options.connect.conninfo =
      fmt::format("host='{}' port={} user=status application_name={}", arguments.socket,
                  arguments.port, kStatusClient);
  receiver_options.connect.own_server = true;
  WalReceiver receiver(receiver_options, cancel);
  RETURN_IF_ERROR(receiver.Connect());
  ASSIGN_OR_RETURN(const std::string text, receiver.Show("neon_redo.status"));
  auto status = nlohmann::json::parse(text, nullptr, false);
  if (!status.is_object()) return Fail("the server's answer is not as expected");
  LeaveOutThisConnection(&status);
  if (arguments.json)
    fmt::print("{}\n", status.dump(2, ' ', true, nlohmann::json::error_handler_t::replace));
  else
    PrintTable(status);
  return kExitFine;
}

Outcome Run(const ServeWalArguments& arguments) {
  if (arguments.status) return ShowStatus(arguments);
  WalServerOptions server_options;
  server_options.wal = arguments.wal;
  server_options.stanza = arguments.stanza;
  server_options.cipher_pass_file = arguments.cipher_pass_file;
  server_options.socket_directory = arguments.socket;
  server_options.port = arguments.port;
  server_options.slots_file = arguments.slots;
  server_options.follow = arguments.follow;
  server_options.listen = arguments.listen;
  server_options.users_file = arguments.users;
  server_options.tls_certificate = arguments.tls_cert;
  server_options.tls_key = arguments.tls_key;
  server_options.metrics = arguments.metrics;
  server_options.max_connections = arguments.max_connections;
  server_options.max_connections_per_role = arguments.max_connections_per_role;
  server_options.max_replication_slots = arguments.max_replication_slots;
  server_options.sender_timeout = ToMilliseconds(arguments.timeout);
  server_options.log = Say;
  const CancelSignal& stop = StopOnSignals();
  const CancelSignal& reload = ReloadOnSignal();
  ASSIGN_OR_RETURN(const auto server, WalServer::Open(std::move(server_options)));
  Say(fmt::format("system {}, timeline {}, valid WAL up to {} ({})", server->system_identifier(),
                  server->timeline(), server->end_of_wal().ToString(), server->end_reason()));
  if (!arguments.listen.empty())
    Say(fmt::format("TLS on \"{}\", port {}", arguments.listen, server->tcp_port()));
  Say(fmt::format("listening on \"{}\"", server->socket_path()));
  RETURN_IF_ERROR(server->Run(stop, reload));
  Say("stopped");
  return kExitFine;
}

}  // namespace

CommandFunction DeclareServeWal(Options* options) {
  auto arguments = std::make_shared<ServeWalArguments>();
  options->Usage(
      "[OPTION]... --wal=DIR\n"
      "  neon-redo serve-wal --status [--json] [--socket=DIR] [--port=PORT]");
  Option& wal = AddWalDirectory(options, &arguments->wal);
  AddRepository(options, &arguments->stanza, &arguments->cipher_pass_file);
  AddUntestedVersion(options);
  options->Path("--socket=DIR", &arguments->socket, "directory of the Unix socket (default: /tmp)");
  options->Integer("--port=PORT", &arguments->port, {1, 65535},
                   "port number in the name of the Unix socket (default: 5432)");
  options->Flag("--follow", &arguments->follow, "also send WAL that arrives later");
  options->Path("--slots=FILE", &arguments->slots,
                "file for replication slots, created with the first slot (default: serve-wal.slots "
                "in the WAL directory)");
  AddMetrics(options, &arguments->metrics);
  options->Integer("--max-connections=N", &arguments->max_connections, {1, 100000},
                   "clients at a time (default: 100)");
  options->Integer("--max-connections-per-role=N", &arguments->max_connections_per_role,
                   {0, 100000}, "clients of one role at a time; 0 means no such limit (default)");
  options->Integer("--max-replication-slots=N", &arguments->max_replication_slots, {0, 100000},
                   "slots that clients can create (default: 10)");
  options->Duration("--timeout=SECS", &arguments->timeout, kNoTime,
                    "end the connection of a client that has been silent for this time (default: "
                    "60); 0 means never");
  options->Heading("Options for TCP connections");
  options
      ->Text("--listen=HOST:PORT", &arguments->listen,
             "also accept TCP connections, with TLS 1.2 or later and SCRAM-SHA-256; port 0 means "
             "any free port")
      .Needs("--users")
      .Needs("--tls-cert")
      .Needs("--tls-key");
  options
      ->Path("--users=FILE", &arguments->users,
             "file with a line NAME:VERIFIER for each role that may connect; verifiers are those "
             "of pg_authid.rolpassword")
      .Needs("--listen");
  options->Path("--tls-cert=FILE", &arguments->tls_cert, "certificate in PEM format")
      .Needs("--listen");
  options->Path("--tls-key=FILE", &arguments->tls_key, "private key in PEM format")
      .Needs("--listen");
  options->Heading("Other options");
  options->Flag("--status", &arguments->status,
                "show what the server at --socket and --port is doing, then exit");
  options->Flag("--json", &arguments->json, "show the status as JSON").Needs("--status");
  options->set_json(&arguments->json);
  options->Notes(
      "Only processes of the same operating system user can connect by the Unix socket.\n"
      "SIGINT and SIGTERM stop the server once all clients have all WAL; a signal more\n"
      "than a second later stops it at once. SIGHUP makes it read the users file, the\n"
      "certificate and the key again. The exit status is 0 when the server was stopped,\n"
      "and 2 otherwise.\n\n"
      "Examples:\n"
      "  neon-redo serve-wal --wal=/archive/wal --socket=/run/archive --follow\n"
      "  pg_receivewal -h /run/archive -D copy\n"
      "  neon-redo serve-wal --status --socket=/run/archive\n");
  return [arguments, options, &wal]() -> Outcome {
    if (!arguments->status && !wal.given())
      return tl::unexpected(options->Misuse("option --wal is required"));
    return Run(*arguments);
  };
}

}  // namespace neon_redo::cli

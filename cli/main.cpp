// neon-redo: one program with a command for each task. The exit status is 0 when all is well, 1
// when a command found a difference, and 2 for wrong usage and for everything that went wrong.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cpp_core/base/open_files.h"

namespace neon_redo::cli {

namespace {

struct Command {
  const char* name;
  const char* summary;
  CommandFunction (*declare)(Options*);
};

constexpr Command kCommands[] = {
    {"verify", "rebuild pages from WAL and compare them with the real ones", DeclareVerify},
    {"restore", "roll a base backup forward to a point, into a new directory", DeclareRestore},
    {"receive", "receive WAL from a server into a directory of segment files", DeclareReceive},
    {"receive-logical", "print the changes of a logical replication slot", DeclareReceiveLogical},
    {"serve-wal", "stream WAL from a directory to standbys and receivers", DeclareServeWal},
    {"waldump", "print WAL records, or statistics about them", DeclareWaldump},
    {"page", "show a page as it was at an LSN, or write it to a file", DeclarePage},
    {"find", "find where recovery can stop: by time, transaction or table", DeclareFind},
    {"history", "list the records of a page or relation, with times of commits", DeclareHistory},
    {"index", "note which records concern a page, so that it is found quickly", DeclareIndex},
    {"ingest", "show what WAL changes: pages, relations, files, counters", DeclareIngest},
    {"worker", "become a redo worker on standard input and output", DeclareWorker},
    {"doctor", "show what confines redo workers on this system", DeclareDoctor},
    {"bench", "measure a redo worker and the native engine", DeclareBench},
    {"replay", "run a captured request again that failed", DeclareReplay},
};

void PrintUsage() {
  fmt::print(
      "neon-redo rebuilds pages of PostgreSQL from WAL and verifies them.\n\n"
      "Usage:\n"
      "  neon-redo COMMAND [OPTION]...\n"
      "  neon-redo help [COMMAND]\n\n"
      "Commands:\n");
  for (const Command& command : kCommands)
    fmt::print("  {:<16} {}\n", command.name, command.summary);
  fmt::print(
      "\nOptions:\n"
      "  -V, --version    output version information, then exit\n"
      "  -?, --help       show this help, then exit\n\n"
      "\"neon-redo help COMMAND\" shows the options of a command and examples.\n");
}

const Command* FindCommand(const std::string& name) {
  const auto* const found = std::find_if(std::begin(kCommands), std::end(kCommands),
                                         [&](const Command& c) { return c.name == name; });
  return found == std::end(kCommands) ? nullptr : found;
}

// Before the options are read, or where reading them fails.
bool AsksForJson(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); i++) {
    if (arguments[i] == "--format=json" || arguments[i] == "--json") return true;
    if (arguments[i] == "--format" && i + 1 < arguments.size() && arguments[i + 1] == "json")
      return true;
  }
  return false;
}

int Trouble(const Failure& failure, bool json) {
  PrintFailure(failure, json);
  return kExitTrouble;
}

Failure Misuse(std::string message) {
  return Failure(std::move(message), "Try \"neon-redo help\" for the list of commands.");
}

int PrintHelp(const Command& command, const Options& options) {
  fmt::print("neon-redo {}: {}\n{}", command.name, command.summary, options.Help());
  return kExitFine;
}

int RunCommand(const Command& command, const std::vector<std::string>& arguments) {
  Options options(command.name);
  const CommandFunction run = command.declare(&options);
  const bool asks_for_json = options.declares_json() && AsksForJson(arguments);
  try {
    if (const auto parsed = options.Parse(arguments); !parsed)
      return Trouble(parsed.error(), asks_for_json);
    if (options.wants_help()) return PrintHelp(command, options);
    const Outcome outcome = run();
    return outcome ? *outcome : Trouble(outcome.error(), options.json());
  } catch (...) {
    return Trouble(Failure(DescribeException()), asks_for_json);
  }
}

bool IsVersionOption(const std::string& argument) {
  return argument == "-V" || argument == "--version";
}

int PrintVersion() {
  fmt::print("neon-redo (neon_redo) " NEON_REDO_VERSION "\n");
  return kExitFine;
}

int Main(const std::vector<std::string>& arguments) {
  const bool json = AsksForJson(arguments);
  if (arguments.empty()) return Trouble(Misuse("no command specified"), json);
  const std::string& first = arguments[0];
  if (IsVersionOption(first)) return PrintVersion();
  // As PostgreSQL's programs, which look at the first argument only.
  if (arguments.size() == 2 && FindCommand(first) != nullptr && IsVersionOption(arguments[1]))
    return PrintVersion();
  const bool help = first == "help";
  if (first == "-?" || first == "-h" || first == "--help" || (help && arguments.size() == 1)) {
    PrintUsage();
    return kExitFine;
  }
  if (help && arguments.size() > 2)
    return Trouble(
        Misuse(fmt::format("too many command-line arguments (first is \"{}\")", arguments[2])),
        json);
  const std::string& name = arguments[help ? 1 : 0];
  const Command* const command = FindCommand(name);
  if (command == nullptr) {
    const char* const what = name.starts_with('-') ? "option" : "command";
    return Trouble(Misuse(fmt::format("unrecognized {} \"{}\"", what, name)), json);
  }
  if (help) return RunCommand(*command, {"--help"});
  return RunCommand(*command, {arguments.begin() + 1, arguments.end()});
}

}  // namespace

}  // namespace neon_redo::cli

int main(int argc, char** argv) {
  // What is written holds pages, records and rows: nobody else may read it.
  umask(umask(0) | 077);
  neon_redo::cli::EndOnUncaughtExceptions();
  // Files of relations are kept open; shells allow 1024 files, and the system more.
  neon_redo::RaiseOpenFileLimit(8192);
  try {
    const int status = neon_redo::cli::Main({argv + std::min(argc, 1), argv + argc});
    if (const auto flushed = neon_redo::cli::FlushOutput(); !flushed && status != 2) {
      neon_redo::cli::PrintFailure(flushed.error(), false);
      return neon_redo::cli::kExitTrouble;
    }
    return status;
  } catch (...) {
    std::fprintf(stderr, "neon-redo: error: %s\n", neon_redo::cli::DescribeException().c_str());
    return neon_redo::cli::kExitTrouble;
  }
}

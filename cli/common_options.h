// Options that several commands have: each is defined once, so that its name, its values and its
// meaning are the same everywhere. As for all options, what the pointers point to outlives the
// parse, and its value before is the default.
#ifndef NEON_REDO_CLI_COMMON_OPTIONS_H_
#define NEON_REDO_CLI_COMMON_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "neon_redo/lsn.h"
#include "neon_redo/native.h"
#include "neon_redo/wal_reader.h"
#include "neon_redo/worker.h"

namespace neon_redo::cli {

struct LsnRange {
  std::optional<Lsn> from;  // the first record that starts here or later
  std::optional<Lsn> to;    // only records that end here or before
};

// Why a command that read this range did not see all of it: an error, or WAL that ends before `to`.
// Nothing when it did. status: what reading ended with.
std::optional<Error> RangeError(const LsnRange& range, const WalReader& reader,
                                const Status& status);

// Says on standard error which links of tablespaces are followed below a data directory. only: of
// this tablespace.
void SayTablespaces(const std::string& directory, std::optional<uint32_t> only = std::nullopt);

// --wal, of commands that read the WAL in several directories, or in one
Option& AddWalDirectories(Options* options, std::vector<std::string>* directories);
Option& AddWalDirectory(Options* options, std::string* directory);
// --stanza and --repo-cipher-pass-file, of pgBackRest repositories
void AddRepository(Options* options, std::string* stanza, std::string* cipher_pass_file);
// --restore-command, of commands that have --wal
Option& AddRestoreCommand(Options* options, std::string* command);
// Says on standard error what is unusual about the files that were read.
void SayNotes(const std::vector<std::string>& notes);
// --untested-version, of every command that reads WAL, pages or clusters, or starts workers
void AddUntestedVersion(Options* options);
// --from and --to
void AddLsnRange(Options* options, LsnRange* range);
// --until, of commands that follow a server
Option& AddUntil(Options* options, std::optional<Lsn>* until, const char* help);
// --timeline, perhaps with a short name before it
void AddTimeline(Options* options, std::optional<uint32_t>* timeline,
                 const char* spec = "--timeline=TLI");
// One for each processor.
int DefaultJobs();
// --memory
void AddMemory(Options* options, uint64_t* bytes, const char* help);
// --jobs and --memory of commands that replay, and their defaults
void AddReplayLimits(Options* options, int* jobs, uint64_t* memory);
// --format=text|json. With json the program prints errors as JSON too.
void AddFormat(Options* options, bool* json, const char* help);
// --no-progress
void AddNoProgress(Options* options, bool* no_progress);

// --dbname
Option& AddConnection(Options* options, std::string* conninfo);
// --status-interval
void AddStatusInterval(Options* options, std::chrono::duration<double>* interval,
                       std::chrono::duration<double> min);
// --stall-timeout, of commands that receive
void AddStallTimeout(Options* options, std::chrono::duration<double>* timeout);
// --metrics. The address goes to MetricsExposer::Open; empty: no metrics.
void AddMetrics(Options* options, std::string* address);

// --engine
void AddEngine(Options* options, Engine* engine, const char* help);
// --bindir, --module and --user
void AddModule(Options* options, std::string* bindir, std::string* module, std::string* user);
// --no-sandbox
void AddNoSandbox(Options* options, bool* sandbox);
// --no-sandbox, --no-landlock and --namespaces
void AddSandboxLayers(Options* options, bool* sandbox, std::optional<bool>* landlock,
                      bool* namespaces);
// How commands run a worker: a heading, AddModule, --worker-command and --no-sandbox.
void AddWorkerOptions(Options* options, WorkerOptions* worker);

std::chrono::milliseconds ToMilliseconds(std::chrono::duration<double> duration);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_COMMON_OPTIONS_H_

#include "cli/common_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "cli/failure.h"
#include "cli/foreign_text.h"
#include "cpp_core/pg/cluster_file.h"
#include "neon_redo/version.h"

namespace neon_redo::cli {

std::optional<Error> RangeError(const LsnRange& range, const WalReader& reader,
                                const Status& status) {
  if (!status) return status.error();
  if (!range.to || reader.reached_to()) return std::nullopt;
  return Error{ErrorCode::kNotFound,
               fmt::format("WAL ends at LSN {}, before --to {}: {}", reader.end_of_wal().ToString(),
                           range.to->ToString(), reader.end_reason())};
}

void SayTablespaces(const std::string& directory, std::optional<uint32_t> only) {
  for (const auto& [oid, target] : pg::TablespaceLinks(directory))
    if (!only || oid == *only)
      Say(fmt::format("tablespace {} of \"{}\" is read from \"{}\"", oid, directory, target));
}

Option& AddWalDirectories(Options* options, std::vector<std::string>* directories) {
  return options->PathList(
      "--wal=DIR", directories,
      "directory of WAL segments, which may be compressed, a data directory with a pg_wal in it, a "
      "pgBackRest repository, a Barman server's directory or WAL-G's storage; can be repeated: the "
      "segments of all are read as one");
}

void AddRepository(Options* options, std::string* stanza, std::string* cipher_pass_file) {
  options->Text("--stanza=NAME", stanza, "stanza of a pgBackRest repository that has several");
  options->Path("--repo-cipher-pass-file=FILE", cipher_pass_file,
                "file with the passphrase of an encrypted pgBackRest repository");
}

Option& AddRestoreCommand(Options* options, std::string* command) {
  return options->Text(
      "--restore-command=COMMAND", command,
      "shell command that fetches what no --wal directory has, as the server's restore_command: it "
      "copies the archive's file %f to the path %p");
}

void SayNotes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) Say("note: " + PrintableLines(note));
}

Option& AddWalDirectory(Options* options, std::string* directory) {
  return options->Path(
      "--wal=DIR", directory,
      "directory of WAL segments, which may be compressed, a data directory with a "
      "pg_wal in it, a pgBackRest repository or a Barman server's directory");
}

void AddUntestedVersion(Options* options) {
  options->Value(
      "--untested-version",
      [](const std::string&) {
        AllowUntestedVersions();
        return Status();
      },
      "serve PostgreSQL versions, too, that this program was not tested with (16, 19)");
}

void AddLsnRange(Options* options, LsnRange* range) {
  options->Location("--from=LSN", &range->from, "start with the first record at or after this LSN");
  options->Location("--to=LSN", &range->to, "read only records that end at or before this LSN");
}

Option& AddUntil(Options* options, std::optional<Lsn>* until, const char* help) {
  return options->Location("--until=LSN", until, help);
}

void AddTimeline(Options* options, std::optional<uint32_t>* timeline, const char* spec) {
  options->Integer(spec, timeline, {1, std::numeric_limits<uint32_t>::max()},
                   "timeline to read (default: the highest that has the first record)");
}

namespace {

// A quarter of the machine's memory, as the server's manual says of shared_buffers.
uint64_t DefaultMemory() {
  const auto pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  const uint64_t quarter = pages > 0 && size > 0 ? uint64_t(pages) * uint64_t(size) / 4 : 0;
  return std::max(quarter, uint64_t{256} << 20);
}

}  // namespace

int DefaultJobs() {
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 256u));
}

void AddMemory(Options* options, uint64_t* bytes, const char* help) {
  options->Size("--memory=SIZE", bytes, uint64_t{16} << 20, help);
}

void AddReplayLimits(Options* options, int* jobs, uint64_t* memory) {
  *jobs = DefaultJobs();
  *memory = DefaultMemory();
  options->Integer("--jobs=N", jobs, {1, 256},
                   "number of threads, each with a worker if it needs one (default: one for each "
                   "processor)");
  AddMemory(options, memory,
            "memory that the command may use, such as 512MB (default: a quarter of the machine's "
            "memory); other pages go to a temporary file in $TMPDIR or /tmp");
}

void AddFormat(Options* options, bool* json, const char* help) {
  options->Choice<bool>("--format=FORMAT", json, {{"text", false}, {"json", true}}, help);
  options->set_json(json);
}

void AddNoProgress(Options* options, bool* no_progress) {
  options->Flag("--no-progress", no_progress, "do not show progress on the terminal");
}

Option& AddConnection(Options* options, std::string* conninfo) {
  return options->Text("--dbname=CONNSTR", conninfo,
                       "connection string; libpq's defaults, environment variables, service files "
                       "and password file apply");
}

void AddStatusInterval(Options* options, std::chrono::duration<double>* interval,
                       std::chrono::duration<double> min) {
  options->Duration("--status-interval=SECS", interval, min,
                    "time between status messages to the server (default: 10)");
}

void AddStallTimeout(Options* options, std::chrono::duration<double>* timeout) {
  options->Duration("--stall-timeout=SECS", timeout, kNoTime,
                    "reconnect when the server has been silent for this time (default: 60); 0 "
                    "means never");
}

void AddMetrics(Options* options, std::string* address) {
  options->Text("--metrics=ADDRESS", address,
                "serve metrics for Prometheus at http://ADDRESS/metrics; a port number alone means "
                "a port of 127.0.0.1");
}

void AddEngine(Options* options, Engine* engine, const char* help) {
  options->Choice<Engine>(
      "--engine=NAME", engine,
      {{"auto", Engine::kAuto}, {"native", Engine::kNative}, {"worker", Engine::kWorker}}, help);
}

namespace {

// A path that may be given once for each major version of the server.
void AddPathOfVersion(Options* options, const char* spec, std::string* paths, const char* help) {
  options->Value(
      spec,
      [paths](const std::string& text) -> Status {
        if (text.empty()) return MakeError(ErrorCode::kInvalidArgument, "a path must not be empty");
        if (text.find(':') != std::string::npos)  // it separates the paths in WorkerOptions
          return MakeError(ErrorCode::kInvalidArgument, "a path must not contain \":\"");
        *paths += (paths->empty() ? "" : ":") + text;
        return {};
      },
      help);
}

}  // namespace

void AddModule(Options* options, std::string* bindir, std::string* module, std::string* user) {
  AddPathOfVersion(options, "--bindir=DIR", bindir,
                   "directory of the server's programs, once for each major version (default: "
                   "where packages and \"make install\" put them)");
  AddPathOfVersion(options, "--module=FILE", module,
                   "path of neon.so, once for each major version (default: the installed one)");
  options->Text("--user=NAME", user,
                "operating system user of workers that root starts (default: postgres)");
}

void AddNoSandbox(Options* options, bool* sandbox) {
  options->Value(
      "--no-sandbox",
      [sandbox](const std::string&) {
        *sandbox = false;
        return Status();
      },
      "run the worker without a sandbox, for debugging only: WAL could then do anything that the "
      "user may do");
}

void AddSandboxLayers(Options* options, bool* sandbox, std::optional<bool>* landlock,
                      bool* namespaces) {
  AddNoSandbox(options, sandbox);
  options->Value(
      "--no-landlock",
      [landlock](const std::string&) {
        *landlock = false;
        return Status();
      },
      "leave out this layer of the sandbox, which is on where the kernel supports it");
  options->Flag("--namespaces", namespaces,
                "add this layer of the sandbox, where the system allows it");
}

void AddWorkerOptions(Options* options, WorkerOptions* worker) {
  options->Heading("Options for the worker");
  AddModule(options, &worker->bindir, &worker->module, &worker->user);
  options->Text("--worker-command=COMMAND", &worker->command,
                "shell command that starts another worker of the same protocol");
  AddNoSandbox(options, &worker->sandbox);
}

std::chrono::milliseconds ToMilliseconds(std::chrono::duration<double> duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

}  // namespace neon_redo::cli

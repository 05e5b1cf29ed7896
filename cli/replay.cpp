// neon-redo replay: runs a captured request again, and shows what it does.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/redo/manager/capture.h"
#include "cpp_core/redo/manager/replay.h"
#include "neon_redo/describe.h"

namespace neon_redo::cli {

namespace {

struct Options {
  std::string file;
  WorkerOptions worker;
  bool no_sandbox = false;
  bool gdb = false;
  std::string write_page;
};

int Trouble(const std::string& message) {
  fmt::print(stderr, "neon-redo replay: error: {}\n", message);
  return kExitTrouble;
}

void PrintRecord(const PageRecord& record) {
  if (const auto* native = std::get_if<NativeRecord>(&record.record)) {
    fmt::print("  {:>17}  {}\n", record.lsn.ToString(), DescribeNativeRecord(*native));
    return;
  }
  const auto& postgres = std::get<PostgresRecord>(record.record);
  RecordView view;
  std::string line = fmt::format("[not a record: {} bytes]", postgres.record.size());
  if (postgres.record.size() >= kRecordHeaderSize && !view.Parse(postgres.record)) {
    const char* operation = OperationName(view.rmid(), view.header().info);
    line = fmt::format("{} {} ", RmgrDisplayName(view.rmid()), operation ? operation : "UNKNOWN");
    DescribeOperation(view, &line);
    if (!RecordView::VerifyCrc(postgres.record)) line += " [wrong CRC]";
  }
  fmt::print("  {:>17}  {}{}\n", record.lsn.ToString(), line,
             postgres.will_init ? " (initialises the page)" : "");
}

void PrintPage(const char* when, const PageKey& key, const PageImage& page) {
  if (page.empty()) {
    fmt::print("{} no page\n", when);
  } else if (!key.ToBlock()) {
    fmt::print("{} {} bytes\n", when, page.size());
  } else if (const PageView view(page.data()); view.is_new()) {
    fmt::print("{} a new page, LSN {}\n", when, view.lsn().ToString());
  } else {
    fmt::print(
        "{} LSN {}, checksum {:#06x}, flags {:#06x}, lower {}, upper {}, special {}, {} line "
        "pointers\n",
        when, view.lsn().ToString(), view.checksum(), view.flags(), view.lower(), view.upper(),
        view.special(), view.line_pointer_count());
  }
}

// "0-7 12-13 …": where the bytes differ.
std::string ChangedBytes(const PageImage& before, const PageImage& after) {
  constexpr int kMost = 24;
  std::string text;
  int ranges = 0;
  for (size_t i = 0; i < after.size();) {
    const auto same = [&](size_t at) { return at < before.size() && before[at] == after[at]; };
    if (same(i)) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < after.size() && !same(end)) ++end;
    if (++ranges > kMost) return text + " …";
    text += fmt::format(" {}-{}", i, end - 1);
    i = end;
  }
  return text.empty() ? " none" : text;
}

void PrintRequest(const CapturedRequest& captured) {
  const PageRequest& request = captured.request;
  fmt::print("request  {} at {}\n", request.key.Describe(), request.lsn.ToString());
  fmt::print("key      {}\n", request.key.ToString());
  fmt::print("failed   {}\n", captured.error);
}

// Hands the terminal to gdb: the worker, with the request on its input, waits for "run".
int RunGdb(const Options& options, const PageKey& key, const std::vector<ReplayedRun>& runs) {
  const ReplayedRun* run = nullptr;
  for (const ReplayedRun& candidate : runs) {
    if (!candidate.native) run = &candidate;
  }
  if (run == nullptr) return Trouble("the request has no PostgreSQL records to run in a worker");
  std::string path = "/tmp/neon_redo_frames.XXXXXX";
  const int fd = mkstemp(path.data());
  if (fd < 0) return Trouble(fmt::format("could not create {}: {}", path, std::strerror(errno)));
  const Status written = WriteFrames(key, *run, fd);
  close(fd);
  int status = kExitTrouble;
  if (!written) {
    Trouble(written.error().message);
  } else {
    std::string arguments = "worker --no-sandbox";
    if (!options.worker.bindir.empty()) arguments += " --bindir '" + options.worker.bindir + "'";
    if (!options.worker.module.empty()) arguments += " --module '" + options.worker.module + "'";
    char self[4096];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const std::string program(self, length > 0 ? static_cast<size_t>(length) : 0);
    const std::string set = fmt::format("set args {} < {} > /dev/null", arguments, path);
    fmt::print("The worker has the request on its input. Set breakpoints, then type: run\n");
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      execlp("gdb", "gdb", "-q", "-ex", "set breakpoint pending on", "-ex", set.c_str(),
             program.c_str(), nullptr);
      fmt::print(stderr, "neon-redo replay: error: could not run gdb: {}\n", std::strerror(errno));
      _exit(kExitTrouble);
    }
    int ended = 0;
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) {
    }
    status = WIFEXITED(ended) && WEXITSTATUS(ended) == 0 ? kExitFine : kExitTrouble;
  }
  unlink(path.c_str());
  return status;
}

int WritePage(const std::string& path, const PageImage& page) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool fine = fd >= 0 && write(fd, page.data(), page.size()) == std::ssize(page);
  const int error = errno;
  if (fd >= 0) close(fd);
  if (fine) return kExitFine;
  return Trouble(fmt::format("could not write \"{}\": {}", path, std::strerror(error)));
}

int Run(const Options& options) {
  const auto captured = ReadCapture(options.file);
  if (!captured) return Trouble(captured.error().message);
  const PageRequest& request = (*captured)->request;
  PrintRequest(**captured);
  std::fflush(stdout);
  RedoWorker worker(options.worker);
  const std::vector<ReplayedRun> runs = Replay(request, &worker);
  worker.Stop();
  if (options.gdb) return RunGdb(options, request.key, runs);
  PageImage page(request.base_image.begin(), request.base_image.end());
  PrintPage("before  ", request.key, page);
  for (const ReplayedRun& run : runs) {
    fmt::print("{}\n", run.native ? "applied without a worker:" : "applied by a worker:");
    for (const PageRecord& record : run.records) PrintRecord(record);
    if (!run.status) {
      fmt::print("{}\n", run.status.error().message);
      return kExitDifference;
    }
    PrintPage("after   ", request.key, run.after);
    fmt::print("changed bytes{}\n", ChangedBytes(run.before, run.after));
    page = run.after;
  }
  fmt::print("The request succeeds now.\n");
  return options.write_page.empty() ? kExitFine : WritePage(options.write_page, page);
}

}  // namespace

void AddReplay(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("replay", "Run a captured failing request again");
  command->footer(
      "A redo manager with a capture directory keeps each request that failed as a file. This "
      "runs\n"
      "it again and prints its records, the page before and after, and which bytes changed.\n\n"
      "Exit status: 0 the request succeeds now, 1 it fails again, 2 the file cannot be read.\n\n"
      "Examples:\n"
      "  neon-redo replay /var/lib/redo/captures/0000…-1.redo\n"
      "  neon-redo replay --gdb FILE      # then, in gdb: break heap_redo, run");
  command->add_option("FILE", options->file, "the captured request")->required();
  command->add_flag("--gdb", options->gdb,
                    "debug the worker, without sandbox, with the last PostgreSQL records as input");
  command->add_option("--write-page", options->write_page, "write the page that results to a file");
  command->add_option("--bindir", options->worker.bindir,
                      "directory of the server's programs (default: " NEON_REDO_DEFAULT_BINDIR ")");
  command->add_option("--module", options->worker.module,
                      "path of neon.so (default: the installed one)");
  command->add_option("--worker-command", options->worker.command,
                      "shell command to run as the worker instead");
  command->add_flag("--no-sandbox", options->no_sandbox,
                    "debugging only: the WAL could do anything that the user may");
  command->callback([options, exit_status] {
    options->worker.sandbox = !options->no_sandbox;
    *exit_status = Run(*options);
  });
}

}  // namespace neon_redo::cli

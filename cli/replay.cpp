// neon-redo replay: runs a captured request again, and shows what it does.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/redo/manager/capture.h"
#include "cpp_core/redo/manager/replay.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/server_files.h"
#include "neon_redo/describe.h"

namespace neon_redo::cli {

namespace {

struct ReplayArguments {
  std::vector<std::string> files;  // one
  WorkerOptions worker;
  bool gdb = false;
  std::string write_page;
};

void PrintRecord(const PageRecord& record, const pg::Version& version) {
  if (const auto* native = std::get_if<PageServerRecord>(&record.record)) {
    fmt::print("  {:>17}  {}\n", record.lsn.ToString(), DescribePageServerRecord(*native));
    return;
  }
  const auto& postgres = std::get<PostgresRecord>(record.record);
  RecordView view(version);
  std::string line = fmt::format("[not a record: {} bytes]", postgres.record.size());
  if (postgres.record.size() >= kRecordHeaderSize && !view.Parse(postgres.record)) {
    const char* operation = OperationName(version, view.rmid(), view.header().info);
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

// " OPTION 'PATH'" for each of the paths, which have ':' between them.
std::string PathOptions(const char* option, const std::string& paths) {
  std::string out;
  for (const std::string& path : SplitPaths(paths)) out += fmt::format(" {} '{}'", option, path);
  return out;
}

// The arguments for gdb's "set args".
std::string WorkerArguments(const ReplayArguments& arguments, const std::string& input) {
  std::string out = "worker --no-sandbox";
  out += PathOptions("--bindir", arguments.worker.bindir);
  out += PathOptions("--module", arguments.worker.module);
  return fmt::format("set args {} < {} > /dev/null", out, input);
}

// Gives the terminal to gdb: the worker, with the request on its input, waits for "run".
Outcome RunGdbOn(const ReplayArguments& arguments, const std::string& input) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
  const std::string program(self, length > 0 ? static_cast<size_t>(length) : 0);
  const std::string set = WorkerArguments(arguments, input);
  fmt::print("The worker has the request on its input. Set breakpoints, then type: run\n");
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid < 0) return Fail(fmt::format("could not fork: {}", std::strerror(errno)));
  if (pid == 0) {
    execlp("gdb", "gdb", "-q", "-ex", "set breakpoint pending on", "-ex", set.c_str(),
           program.c_str(), nullptr);
    Say(fmt::format("error: could not run gdb: {}", std::strerror(errno)));
    _exit(kExitTrouble);
  }
  int ended = 0;
  while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(ended) && WEXITSTATUS(ended) == 0 ? kExitFine : kExitTrouble;
}

Outcome RunGdb(const ReplayArguments& arguments, const PageKey& key,
               const std::vector<ReplayedRun>& runs) {
  const ReplayedRun* run = nullptr;
  for (const ReplayedRun& candidate : runs) {
    if (!candidate.native) run = &candidate;
  }
  if (run == nullptr) return Fail("the request has no PostgreSQL records to run in a worker");
  std::string path = "/tmp/neon_redo_frames.XXXXXX";
  const int fd = mkstemp(path.data());
  if (fd < 0)
    return Fail(fmt::format("could not create file \"{}\": {}", path, std::strerror(errno)));
  const Status written = WriteFrames(key, *run, fd);
  close(fd);
  const Outcome outcome =
      written ? RunGdbOn(arguments, path) : tl::unexpected(Failure(written.error()));
  unlink(path.c_str());
  return outcome;
}

Outcome WritePage(const std::string& path, const PageImage& page) {
  RETURN_IF_ERROR(WritePrivateFile(path, page));
  return kExitFine;
}

Outcome Run(const ReplayArguments& arguments) {
  ASSIGN_OR_RETURN(const auto captured, ReadCapture(arguments.files[0]));
  const PageRequest& request = captured->request;
  PrintRequest(*captured);
  std::fflush(stdout);
  WorkerOptions worker_options = arguments.worker;
  worker_options.version = captured->version;
  RedoWorker worker(worker_options);
  const std::vector<ReplayedRun> runs = Replay(request, &worker);
  worker.Stop();
  if (arguments.gdb) return RunGdb(arguments, request.key, runs);
  PageImage page(request.base_image.begin(), request.base_image.end());
  PrintPage("before  ", request.key, page);
  for (const ReplayedRun& run : runs) {
    fmt::print("{}\n", run.native ? "applied without a worker:" : "applied by a worker:");
    for (const PageRecord& record : run.records) PrintRecord(record, *captured->version);
    if (!run.status) {
      fmt::print("{}\n", run.status.error().message);
      return kExitDifference;
    }
    PrintPage("after   ", request.key, run.after);
    fmt::print("changed bytes{}\n", ChangedBytes(run.before, run.after));
    page = run.after;
  }
  fmt::print("The request succeeds now.\n");
  if (arguments.write_page.empty()) return kExitFine;
  return WritePage(arguments.write_page, page);
}

}  // namespace

CommandFunction DeclareReplay(Options* options) {
  auto arguments = std::make_shared<ReplayArguments>();
  options->Usage("[OPTION]... FILE");
  options->Arguments(&arguments->files, 1);
  options->Flag("--gdb", &arguments->gdb,
                "debug the worker, without a sandbox, with the last PostgreSQL records as its "
                "input");
  options->Path("--write-page=FILE", &arguments->write_page, "write the resulting page to a file");
  AddUntestedVersion(options);
  AddWorkerOptions(options, &arguments->worker);
  options->Notes(
      "A redo manager with a capture directory keeps each request that failed as a file.\n"
      "This command runs the request again. It prints the records, the page before and\n"
      "after, and which bytes changed. The exit status is 0 when the request succeeds\n"
      "now, 1 when it fails again, and 2 when the file could not be read.\n\n"
      "Examples:\n"
      "  neon-redo replay /var/lib/redo/captures/0000...-1.redo\n"
      "  neon-redo replay --gdb FILE      # then, in gdb: break heap_redo, run\n");
  return [arguments, options]() -> Outcome {
    if (arguments->files.empty()) return tl::unexpected(options->Misuse("no file specified"));
    return Run(*arguments);
  };
}

}  // namespace neon_redo::cli

// A worker in hostile hands, in the real sandbox (offender.cpp), against the real client: each act
// is stopped, the error says what happened, and the next request works.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "neon_redo/worker.h"

namespace neon_redo {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

Status AskOnce(RedoWorker* worker) {
  const std::vector<uint8_t> base(kBlockSize, 1);
  std::vector<uint8_t> page(kBlockSize, 1);
  const Status status =
      worker->Redo({{{1663, 5, 16384}, kMainFork, 0}, base.data(), {}}, page.data());
  if (!status) {
    EXPECT_EQ(page, std::vector<uint8_t>(kBlockSize)) << "an error left a page";
  }
  return status;
}

WorkerOptions Offender(const char* act, milliseconds timeout) {
  WorkerOptions options;
  options.program = {OFFENDER, act};
  options.timeout = timeout;
  return options;
}

struct Act {
  const char* name;
  ErrorCode code;
  const char* message;
};

class ActTest : public ::testing::TestWithParam<Act> {};

TEST_P(ActTest, IsStoppedAndNamed) {
  const bool hangs = GetParam().code == ErrorCode::kTimeout;
  RedoWorker worker(Offender(GetParam().name, milliseconds(hangs ? 500 : 60000)));
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(worker.Ping());
    const Clock::time_point start = Clock::now();
    const Status status = AskOnce(&worker);
    ASSERT_FALSE(status) << "was not stopped";
    EXPECT_EQ(status.error().code, GetParam().code) << status.error().message;
    EXPECT_NE(status.error().message.find(GetParam().message), std::string::npos)
        << status.error().message;
    EXPECT_EQ(status.error().message.find("broken pipe"), std::string::npos);
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(60));
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 512 * 1024) << "the client grew";
}

constexpr ErrorCode kWorker = ErrorCode::kWorker;

INSTANTIATE_TEST_SUITE_P(
    Acts, ActTest,
    ::testing::Values(
        Act{"open", kWorker, "without an answer (killed by the sandbox: openat)"},
        Act{"open-proc", kWorker, "(killed by the sandbox: openat)"},
        Act{"create", kWorker, "(killed by the sandbox: openat)"},
        Act{"socket", kWorker, "(killed by the sandbox: socket)"},
        Act{"fork", kWorker, "(killed by the sandbox: clone)"},
        Act{"vfork", kWorker, "(killed by the sandbox: vfork)"},
        Act{"fork-bomb", kWorker, "(killed by the sandbox: clone)"},
        Act{"exec", kWorker, "(killed by the sandbox: execve)"},
        Act{"ptrace-parent", kWorker, "(killed by the sandbox: getppid)"},
        Act{"trace-parent", kWorker, "(killed by the sandbox: ptrace)"},
        Act{"read-others-memory", kWorker, "(killed by the sandbox: process_vm_readv)"},
        Act{"map-executable", kWorker, "(killed by the sandbox: mprotect)"},
        Act{"signal-group", kWorker, "(killed by the sandbox: kill)"},
        Act{"signal-all", kWorker, "(killed by the sandbox: kill)"},
        Act{"signal-other", kWorker, "(killed by the sandbox: tgkill)"},
        Act{"signal-self", kWorker, "(killed by the sandbox: tgkill)"},
        Act{"write-3", kWorker, "(killed by the sandbox: write)"},
        Act{"read-1", kWorker, "(killed by the sandbox: read)"},
        Act{"handle-signal", kWorker, "(killed by the sandbox: rt_sigaction)"},
        Act{"lift-limits", kWorker, "(killed by the sandbox: prlimit64)"},
        Act{"become-root", kWorker, "(killed by the sandbox: setresuid)"},
        Act{"no-such-call", kWorker, "(killed by the sandbox: system call 1000)"},
        Act{"i386", kWorker, "(killed by "},
        Act{"x32", kWorker, "(killed by the sandbox (SIGSYS))"},
        Act{"panic-then-call", kWorker,
            "(killed by the sandbox (SIGSYS) after its message): PANIC:  the page is not what it "
            "was; CONTEXT:  WAL redo"},
        Act{"panic-then-abort", kWorker,
            "(killed by SIGABRT): PANIC:  the page is not what it was"},
        Act{"corrupt-heap", kWorker, "(killed by SIGABRT): free(): invalid "},
        Act{"forge", kWorker, "without an answer (exit status 0)"},
        Act{"exhaust-memory", kWorker, "(exit status 1): out of memory after "},
        Act{"fill-error", ErrorCode::kTimeout, "within 500 ms"},
        Act{"spin", ErrorCode::kTimeout, "within 500 ms"}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::erase(name, '-');
      return name;
    });

TEST(MemoryTest, ALimitIsALimit) {
  RedoWorker worker(Offender("exhaust-memory", milliseconds(60000)));
  const Status status = AskOnce(&worker);
  ASSERT_FALSE(status);
  const size_t at = status.error().message.find("after ");
  ASSERT_NE(at, std::string::npos);
  const int granted = std::stoi(status.error().message.substr(at + 6));
  EXPECT_GT(granted, 32);
  EXPECT_LE(granted, 64) << "more than the limit";
  EXPECT_NE(access("/tmp/neon_redo_escape", F_OK), 0);
}

// Its first page looks like the answer. It is the last that is taken from this worker, and nothing
// it writes is stored beyond what was asked for.
TEST(OutputTest, AWorkerThatAnswersTwiceIsNotAskedAgain) {
  RedoWorker worker(Offender("fill-output", milliseconds(60000)));
  for (uint64_t round = 1; round <= 5; ++round) {
    if (const Status status = AskOnce(&worker); !status) {
      EXPECT_NE(status.error().message.find("more bytes than were asked for"), std::string::npos);
    }
    usleep(20000);
    EXPECT_EQ(worker.statistics().launches, round);
    EXPECT_LE(worker.statistics().bytes_received, round * 2 * kBlockSize);
  }
}

}  // namespace
}  // namespace neon_redo

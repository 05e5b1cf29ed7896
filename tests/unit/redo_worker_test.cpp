// The worker client against a worker that can be told to be hostile (fake_worker.cpp).
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "cpp_core/redo/worker/child_process.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/frames.h"
#include "cpp_core/redo/worker/home.h"
#include "neon_redo/record.h"
#include "neon_redo/worker.h"
#include "tests/unit/programs.h"
#include "tests/unit/version_15.h"

namespace {
// The user to whom directories are given as they are made.
std::optional<uid_t> swap_home;
}  // namespace

// In place of the C library's.
extern "C" char* mkdtemp(char* path) noexcept {
  static const auto real = reinterpret_cast<char* (*)(char*)>(dlsym(RTLD_NEXT, "mkdtemp"));
  char* made = real(path);
  if (made && swap_home && chown(made, *swap_home, *swap_home) != 0) return nullptr;
  return made;
}

namespace neon_redo {
namespace {

using std::chrono::milliseconds;

// "5: pipe:[123]"
std::set<std::string> OpenDescriptors() {
  std::set<std::string> out;
  std::error_code gone;  // the iterator's own
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (target.string().find("/proc/") == std::string::npos)
      out.insert(entry.path().filename().string() + ": " + target.string());
  }
  return out;
}

bool HaveChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

// A request and the bytes it owns.
struct Ask {
  BlockTag tag;
  std::vector<uint8_t> base;
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<RedoRecord> records;

  Ask(uint32_t block, size_t record_size = 100, int count = 2, bool with_base = true)
      : tag{{1663, 5, 16384}, kMainFork, block} {
    if (with_base) base.assign(kBlockSize, static_cast<uint8_t>(block));
    for (int i = 0; i < count; ++i) {
      bytes.emplace_back(record_size + static_cast<size_t>(i), static_cast<uint8_t>(block + i));
    }
    for (size_t i = 0; i < bytes.size(); ++i) records.push_back({Lsn(0x1000000 + i), bytes[i]});
  }

  RedoRequest request() const { return {tag, base.empty() ? nullptr : base.data(), records}; }

  // What the fake worker answers.
  std::vector<uint8_t> Page() const {
    uint32_t sum = 0;
    auto add = [&sum](Bytes some) {
      for (uint8_t byte : some) sum = sum * 31 + byte;
    };
    uint8_t tag_bytes[kTagSize];
    StoreTag(tag_bytes, tag);
    if (!base.empty()) {
      add(tag_bytes);
      add(base);
    }
    for (const RedoRecord& record : records) {
      uint8_t lsn[8];
      StoreBe64(lsn, record.end.value);
      add(lsn);
      add(record.record);
    }
    std::vector<uint8_t> page(kBlockSize);
    std::memcpy(page.data(), tag_bytes, kTagSize);
    StoreBe32(page.data() + 20, sum);
    StoreBe32(page.data() + kBlockSize - 4, sum);
    return page;
  }
};

WorkerOptions Fake(const std::string& mode, milliseconds timeout = milliseconds(60000)) {
  WorkerOptions options;
  options.command = std::string("exec ") + kFakeWorker + " " + mode;
  options.timeout = timeout;
  return options;
}

// Asks for all in one batch; checks that exactly the requests for block 666 fail, and that every
// other page is right. Returns the errors.
std::vector<Error> RunBatch(RedoWorker* worker, const std::vector<Ask>& asks) {
  std::vector<RedoRequest> requests;
  for (const Ask& ask : asks) requests.push_back(ask.request());
  std::vector<uint8_t> pages(asks.size() * kBlockSize, 0xee);
  std::vector<Status> statuses(asks.size(), MakeError(ErrorCode::kIo, "not touched"));
  worker->RedoBatch(requests, pages.data(), statuses);
  std::vector<Error> errors;
  for (size_t i = 0; i < asks.size(); ++i) {
    const std::vector<uint8_t> page(pages.begin() + static_cast<ptrdiff_t>(i * kBlockSize),
                                    pages.begin() + static_cast<ptrdiff_t>((i + 1) * kBlockSize));
    if (statuses[i]) {
      EXPECT_EQ(page, asks[i].Page()) << "request " << i;
    } else {
      EXPECT_EQ(asks[i].tag.block, 666u) << "request " << i << ": " << statuses[i].error().message;
      EXPECT_EQ(page, std::vector<uint8_t>(kBlockSize)) << "request " << i;
      errors.push_back(statuses[i].error());
    }
  }
  return errors;
}

std::vector<Ask> Mixed(int count, const std::vector<int>& bad = {}) {
  std::vector<Ask> asks;
  for (int i = 0; i < count; ++i) {
    const bool is_bad = std::find(bad.begin(), bad.end(), i) != bad.end();
    asks.emplace_back(is_bad ? 666 : static_cast<uint32_t>(i),
                      50 + static_cast<size_t>(i) * 7 % 900, 1 + i % 5, i % 3 != 0);
  }
  return asks;
}

class RedoWorkerTest : public ::testing::Test {
 protected:
  void SetUp() override { descriptors_ = OpenDescriptors(); }
  void TearDown() override {
    // An earlier test may have let some go meanwhile.
    for (const std::string& descriptor : OpenDescriptors())
      EXPECT_TRUE(descriptors_.contains(descriptor)) << descriptor;
    EXPECT_FALSE(HaveChildren());
  }
  std::set<std::string> descriptors_;
};

TEST_F(RedoWorkerTest, AnswersOneByOneAndInBatches) {
  RedoWorker worker(Fake(""));
  EXPECT_EQ(worker.pid(), 0) << "launched before the first request";
  const Ask ask(7);
  std::vector<uint8_t> page(kBlockSize);
  ASSERT_TRUE(worker.Redo(ask.request(), page.data()));
  EXPECT_EQ(page, ask.Page());
  const pid_t pid = worker.pid();
  for (size_t window : {1, 2, 8, 32, 500}) {
    worker.set_window(window);
    EXPECT_TRUE(RunBatch(&worker, Mixed(200)).empty());
    EXPECT_TRUE(worker.Ping(3));
  }
  EXPECT_EQ(worker.pid(), pid);
  EXPECT_EQ(worker.statistics().launches, 1u);
  EXPECT_EQ(worker.statistics().answers, 1u + 5 * 203);
  EXPECT_EQ(worker.statistics().failures, 0u);
  RunBatch(&worker, {});
}

TEST_F(RedoWorkerTest, CarriesRecordsOfEverySize) {
  RedoWorker worker(Fake(""));
  std::vector<Ask> asks;
  for (size_t size :
       {24ul, 100ul, 8192ul, 32767ul, 32768ul, 40000ul, 65536ul, 1000000ul, 60000000ul}) {
    asks.emplace_back(1, size, 3);
    asks.emplace_back(2, 60, 40);
  }
  EXPECT_TRUE(RunBatch(&worker, asks).empty());
}

TEST_F(RedoWorkerTest, RefusesWhatNoWorkerCanAnswer) {
  RedoWorker worker(Fake(""));
  std::vector<Ask> asks = Mixed(6);
  asks[0].records.clear();
  asks[0].base.clear();
  asks[2].tag.fork = 4;
  asks[5].records[0].record = asks[5].records[0].record.first(kRecordHeaderSize - 1);
  for (int bad : {0, 2, 5}) asks[static_cast<size_t>(bad)].tag.block = 666;
  const std::vector<Error> errors = RunBatch(&worker, asks);
  ASSERT_EQ(errors.size(), 3u);
  for (const Error& error : errors) EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(worker.statistics().launches, 1u);
}

struct HostileCase {
  const char* mode;
  ErrorCode code;
  const char* message;
};

class HostileWorkerTest : public RedoWorkerTest,
                          public ::testing::WithParamInterface<HostileCase> {};

TEST_P(HostileWorkerTest, CostsTheCulpritOnly) {
  const HostileCase& hostile = GetParam();
  // Long enough for honest answers on a busy machine.
  const bool hangs = hostile.code == ErrorCode::kTimeout;
  const milliseconds timeout(hangs ? 600 : 60000);
  const std::vector<int> bad = hangs ? std::vector<int>{40} : std::vector<int>{0, 40, 99};
  const auto run = [&](size_t window) {
    WorkerOptions options = Fake(hostile.mode, timeout);
    options.window = window;
    RedoWorker worker(std::move(options));
    const std::vector<Error> errors = RunBatch(&worker, Mixed(100, bad));
    ASSERT_EQ(errors.size(), bad.size());
    for (const Error& error : errors) {
      EXPECT_EQ(error.code, hostile.code) << error.message;
      EXPECT_NE(error.message.find(hostile.message), std::string::npos) << error.message;
      EXPECT_NE(error.message.find("block 666 of 1663/5/16384 (main fork)"), std::string::npos)
          << error.message;
      EXPECT_EQ(error.message.find('\n'), std::string::npos);
      EXPECT_LT(error.message.size(), 1200u);
    }
    EXPECT_EQ(worker.statistics().failures, bad.size());
    EXPECT_TRUE(RunBatch(&worker, Mixed(10)).empty());
  };
  // At once, as they mostly wait.
  std::thread one_by_one(run, 1);
  run(32);
  one_by_one.join();
}

INSTANTIATE_TEST_SUITE_P(
    Modes, HostileWorkerTest,
    ::testing::Values(
        HostileCase{"exit", ErrorCode::kWorker,
                    "(exit status 3): FATAL:  I cannot do that; DETAIL:  It is too hard."},
        HostileCase{"silent-exit", ErrorCode::kWorker, "without an answer (exit status 0)"},
        HostileCase{"hoard", ErrorCode::kWorker, "without an answer (exit status 0)"},
        HostileCase{"mid-exit", ErrorCode::kWorker, "amid its answer (exit status 1)"},
        HostileCase{"kill", ErrorCode::kWorker, "killed by SIGKILL"},
        HostileCase{"sigsys", ErrorCode::kWorker, "killed by the sandbox (SIGSYS"},
        HostileCase{"segv", ErrorCode::kWorker, "killed by SIGSEGV"},
        HostileCase{"never", ErrorCode::kTimeout, "no answer from the redo worker within 600 ms"},
        HostileCase{"dribble", ErrorCode::kTimeout, "no whole answer"},
        HostileCase{"close", ErrorCode::kWorker, "without an answer (killed by SIGKILL)"},
        HostileCase{"long", ErrorCode::kWorker, "more bytes than were asked for"},
        HostileCase{"short", ErrorCode::kTimeout, "no whole answer"},
        HostileCase{"endless-line", ErrorCode::kWorker, "(exit status 1): …xxxx"},
        HostileCase{"binary-noise", ErrorCode::kWorker, "(exit status 1): ??"}),
    [](const auto& info) {
      std::string name = info.param.mode;
      std::erase(name, '-');
      return name;
    });

TEST_F(RedoWorkerTest, LateAndNoisyAnswersAreAnswers) {
  for (const char* mode : {"late", "noise"}) {
    RedoWorker worker(Fake(mode));
    std::vector<Ask> asks = Mixed(20, {5});
    EXPECT_TRUE(RunBatch(&worker, asks).empty()) << mode;
    EXPECT_LE(worker.stderr_tail().size(), 1u << 17);
  }
}

TEST_F(RedoWorkerTest, AnAnswerBeforeTheQuestionIsAnError) {
  RedoWorker worker(Fake("early"));
  std::vector<Ask> asks = Mixed(4);
  asks.emplace_back(666, 16'000'000);  // more than pipes hold: the answer comes in the midst of it
  const std::vector<Error> errors = RunBatch(&worker, asks);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_NE(errors[0].message.find("more bytes than were asked for"), std::string::npos);
  EXPECT_TRUE(RunBatch(&worker, Mixed(4)).empty());
}

TEST_F(RedoWorkerTest, SaysWhyAWorkerDoesNotStart) {
  struct Case {
    WorkerOptions options;
    ErrorCode code;
    const char* message;
  };
  WorkerOptions no_program;
  no_program.bindir = "/nonexistent/bin";
  WorkerOptions no_user;
  no_user.user = "nobody-of-that-name";
  std::vector<Case> cases = {
      {Fake("no-start"), ErrorCode::kWorker, "(exit status 1): FATAL:  could not access file"},
      {Fake("mute-start", milliseconds(100)), ErrorCode::kTimeout, "within 100 ms"},
      {no_program, ErrorCode::kNotFound, "--bindir"},
  };
  if (geteuid() == 0) cases.push_back({no_user, ErrorCode::kNotFound, "nobody-of-that-name"});
  for (Case& c : cases) {
    RedoWorker worker(std::move(c.options));
    const Status ping = worker.Ping();
    ASSERT_FALSE(ping);
    EXPECT_EQ(ping.error().code, c.code);
    EXPECT_NE(ping.error().message.find(c.message), std::string::npos) << ping.error().message;
    // A whole batch fails at once, not launch by launch.
    const uint64_t launches = worker.statistics().launches;
    std::vector<RedoRequest> requests(50, Ask(1).request());
    const Ask ask(1);
    for (RedoRequest& request : requests) request = ask.request();
    std::vector<uint8_t> pages(requests.size() * kBlockSize);
    std::vector<Status> statuses(requests.size());
    worker.RedoBatch(requests, pages.data(), statuses);
    for (const Status& status : statuses) EXPECT_FALSE(status);
    EXPECT_LE(worker.statistics().launches, launches + 1);
  }
}

TEST_F(RedoWorkerTest, AWorkerThatDiedIdleCostsNothing) {
  RedoWorker worker(Fake(""));
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(worker.Ping());
    const pid_t pid = worker.pid();
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    siginfo_t info;
    waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    EXPECT_TRUE(RunBatch(&worker, Mixed(10)).empty());
  }
  EXPECT_EQ(worker.statistics().launches, 6u);
  EXPECT_EQ(worker.statistics().failures, 0u);
}

TEST_F(RedoWorkerTest, KilledAtRandomMomentsCostsOneErrorEach) {
  RedoWorker worker(Fake(""));
  std::vector<Ask> asks = Mixed(300);
  std::vector<RedoRequest> requests;
  for (const Ask& ask : asks) requests.push_back(ask.request());
  ASSERT_TRUE(worker.Ping());
  const pid_t self = getpid();
  std::atomic<bool> stop = false;
  std::atomic<int> kills = 0;
  // A killer outside, as an operator or the kernel would be: kills any child there is. So often and
  // no more: on a busy machine a worker takes longer to start than to be killed.
  constexpr int kMostKills = 300;
  std::thread killer([&] {
    std::mt19937 random(42);
    while (!stop && kills < kMostKills) {
      usleep(random() % 10000);
      std::string path = "/proc/self/task/" + std::to_string(self) + "/children";
      std::FILE* file = std::fopen(path.c_str(), "re");
      int child = 0;
      if (file != nullptr && std::fscanf(file, "%d", &child) == 1 && kill(child, SIGKILL) == 0) {
        ++kills;
      }
      if (file != nullptr) std::fclose(file);
    }
  });
  int failures = 0;
  std::vector<uint8_t> pages(asks.size() * kBlockSize);
  std::vector<Status> statuses(asks.size());
  for (int round = 0; round < 100; ++round) {
    worker.RedoBatch(requests, pages.data(), statuses);
    for (size_t i = 0; i < asks.size(); ++i) {
      if (statuses[i]) {
        ASSERT_EQ(std::memcmp(&pages[i * kBlockSize], asks[i].Page().data(), kBlockSize), 0);
      } else {
        ++failures;
        ASSERT_NE(statuses[i].error().message.find("SIGKILL"), std::string::npos)
            << statuses[i].error().message;
      }
    }
  }
  stop = true;
  killer.join();
  EXPECT_GT(kills, 0);
  EXPECT_LE(failures, kills);
  (void)worker.Ping();  // the last kill may still be on its way
  EXPECT_TRUE(RunBatch(&worker, asks).empty());
}

TEST_F(RedoWorkerTest, WorkersOfManyThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([] {
      for (int round = 0; round < 5; ++round) {
        RedoWorker worker(Fake("exit"));
        EXPECT_EQ(RunBatch(&worker, Mixed(50, {20})).size(), 1u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(RedoWorkerTest, TheChildGetsDefaultSignalsAndNoDescriptors) {
  signal(SIGUSR1, SIG_IGN);
  const int leaked = dup(2);  // no O_CLOEXEC
  WorkerOptions options;
  options.command =
      "ls /proc/self/fd | tr '\\n' ' ' >&2; grep -E 'Sig(Ign|Blk)' /proc/self/status >&2";
  RedoWorker worker(options);
  const Status status = worker.Ping();
  ASSERT_FALSE(status);
  const std::string& message = status.error().message;
  // 3 is ls reading the directory.
  const std::string expected = ": 0 1 2 3 SigBlk: 0000000000000000; SigIgn: ";
  const size_t at = message.find(expected);
  ASSERT_NE(at, std::string::npos) << message;
  // Signals 32 and 33 belong to the C library, which lets nobody set them.
  const uint64_t ignored = std::stoull(message.substr(at + expected.size(), 16), nullptr, 16);
  EXPECT_EQ(ignored & ~(uint64_t{3} << 31), 0u) << message;
  close(leaked);
  signal(SIGUSR1, SIG_DFL);
}

// A home's owner may replace what is in it; whoever removes it, perhaps root, must not be led
// astray.
TEST(WorkerHomeTest, RemovalFollowsNoLink) {
  char parent[] = "/tmp/neon_redo_test.XXXXXX";
  ASSERT_NE(mkdtemp(parent), nullptr);
  const std::string cluster = std::string(parent) + "/cluster";
  const std::string control = cluster + "/pg_control";
  const std::string stale = std::string(parent) + "/neon_redo_home.stale0";
  ASSERT_EQ(mkdir(cluster.c_str(), 0700), 0);
  std::fclose(std::fopen(control.c_str(), "w"));
  ASSERT_EQ(mkdir(stale.c_str(), 0700), 0);
  ASSERT_EQ(symlink(cluster.c_str(), (stale + "/global").c_str()), 0);
  ASSERT_EQ(symlink(control.c_str(), (stale + "/postgresql.conf").c_str()), 0);
  const std::string link = std::string(parent) + "/neon_redo_home.link00";
  ASSERT_EQ(symlink(cluster.c_str(), link.c_str()), 0);
  EXPECT_EQ(RemoveStaleHomes(parent, geteuid()), 1);
  EXPECT_NE(access(stale.c_str(), F_OK), 0);
  EXPECT_EQ(access(control.c_str(), F_OK), 0);
  for (const std::string& path : {control, link}) unlink(path.c_str());
  rmdir(cluster.c_str());
  EXPECT_EQ(rmdir(parent), 0);
}

// The parent directory may be the worker's user's, who puts a home of its own in the place of
// root's (swap_home below).
TEST(WorkerHomeTest, IsItsMakersOwn) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  char parent[] = "/tmp/neon_redo_test.XXXXXX";
  ASSERT_NE(mkdtemp(parent), nullptr);
  setenv("TMPDIR", parent, 1);
  constexpr uid_t kWorker = 12345;
  swap_home = kWorker;
  const Result<WorkerHome> home = WorkerHome::Create({kWorker, kWorker}, kPg15);
  swap_home.reset();
  EXPECT_FALSE(home);
  unsetenv("TMPDIR");
  EXPECT_EQ(RemoveStaleHomes(parent, kWorker), 10);
  EXPECT_EQ(rmdir(parent), 0);
}

// Root's worker has its user's primary group alone.
TEST(ChildProcessTest, HasNoSupplementaryGroups) {
  const auto user = WorkerUser("");
  ASSERT_TRUE(user);
  if (!*user) GTEST_SKIP() << "needs root";
  auto child = ChildProcess::Start({"/usr/bin/id", {"id", "-G"}, std::nullopt, *user});
  ASSERT_TRUE(child) << child.error().message;
  std::string groups;
  char byte;
  for (;;) {
    const ssize_t n = read(child->output(), &byte, 1);
    if (n < 0 && errno == EAGAIN) usleep(1000);
    if (n == 0) break;
    if (n > 0) groups += byte;
  }
  EXPECT_EQ(groups, std::to_string((*user)->gid) + "\n");
}

// A process that has got the number of a child that was reaped.
pid_t ForkWithNumber(pid_t number) {
  for (int attempt = 0; attempt < 20; attempt++) {
    std::ofstream("/proc/sys/kernel/ns_last_pid") << number - 1;
    const pid_t pid = fork();
    if (pid == 0) {
      pause();
      _exit(0);
    }
    if (pid == number) return pid;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  return 0;
}

TEST(ChildProcessTest, KillsNobodyElse) {
  auto child = ChildProcess::Start({"/bin/true", {"true"}, std::nullopt, std::nullopt});
  ASSERT_TRUE(child) << child.error().message;
  child->Finish(milliseconds(10000));
  const pid_t other = ForkWithNumber(child->pid());
  child->Kill();
  if (other == 0) GTEST_SKIP() << "needs root, and some luck";
  EXPECT_EQ(waitpid(other, nullptr, WNOHANG), 0);
  usleep(10'000);
  EXPECT_EQ(waitpid(other, nullptr, WNOHANG), 0);
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

TEST(ChildProcessTest, Kill) {
  auto child = ChildProcess::Start({"/bin/sleep", {"sleep", "100"}, std::nullopt, std::nullopt});
  ASSERT_TRUE(child) << child.error().message;
  child->Kill();
  EXPECT_EQ(child->Finish(milliseconds(10000)).signal, SIGKILL);
}

TEST(WorkerHomeTest, LivesAsLongAsItsObjectAndDeadOnesAreSwept) {
  char parent[] = "/tmp/neon_redo_test.XXXXXX";
  ASSERT_NE(mkdtemp(parent), nullptr);
  setenv("TMPDIR", parent, 1);
  const pid_t child = fork();
  if (child == 0) {
    // Dies with its home in place: no destructor runs.
    if (!WorkerHome::Create({geteuid(), getegid()}, kPg15)) _exit(1);
    Result<WorkerHome> home = WorkerHome::Create({geteuid(), getegid()}, kPg15);
    _exit(home && access((home->path() + "/global/pg_control").c_str(), R_OK) == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  {
    Result<WorkerHome> home = WorkerHome::Create({geteuid(), getegid()}, kPg15);
    ASSERT_TRUE(home) << home.error().message;
    EXPECT_EQ(access((home->path() + "/PG_VERSION").c_str(), R_OK), 0);
    RemoveStaleHomes(parent, geteuid());
    EXPECT_EQ(RemoveStaleHomes(parent, geteuid()), 0);
    EXPECT_EQ(access((home->path() + "/PG_VERSION").c_str(), R_OK), 0) << "swept while in use";
    // What a worker may leave in it goes too.
    std::fclose(std::fopen((home->path() + "/postmaster.pid").c_str(), "w"));
    std::fclose(std::fopen((home->path() + "/global/surprise").c_str(), "w"));
  }
  EXPECT_EQ(rmdir(parent), 0) << "something is left in " << parent;
  setenv("TMPDIR", "/nonexistent", 1);
  Result<WorkerHome> home = WorkerHome::Create({geteuid(), getegid()}, kPg15);
  ASSERT_FALSE(home);
  EXPECT_NE(home.error().message.find("TMPDIR"), std::string::npos);
  unsetenv("TMPDIR");
}

}  // namespace
}  // namespace neon_redo

// The worker's policy twice: as data, every way through it compared with a list that people read
// (policy.expected); and in the kernel, every system call number tried by a process that has
// loaded it. The two must agree.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "src/worker/policy.h"
#include "src/worker/violation.h"
#include "tests/hostile/filter.h"

namespace neon_redo {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr int kAlive = 42;

// uretprobe and uprobe: since Linux 6.14 and 6.18 seccomp lets these pass whatever the filter says
// (seccomp_uprobe_exception in kernel/seccomp.c), as the kernel's own trampolines make them. Made
// elsewhere they do nothing: SIGILL, or ENXIO.
constexpr uint32_t kUretprobe = 335;
constexpr uint32_t kUprobe = 336;

Filter ExportedPolicy() {
  const int file = memfd_create("policy", 0);
  EXPECT_EQ(ExportPolicy(OnForbiddenCall::kDie, file), 0);
  const off_t size = lseek(file, 0, SEEK_END);
  Filter filter(static_cast<size_t>(size) / sizeof(sock_filter));
  EXPECT_EQ(pread(file, filter.data(), static_cast<size_t>(size), 0), size);
  close(file);
  return filter;
}

std::map<uint32_t, std::string> SystemCalls() {
  std::map<uint32_t, std::string> calls;
  std::istringstream in(kSystemCalls);
  uint32_t number;
  std::string name;
  while (in >> number >> name) calls[number] = name;
  return calls;
}

// A line for each way that does not end as all unlisted calls do.
std::string ListPolicy(const Filter& filter) {
  const auto self = static_cast<uint32_t>(getpid());
  const std::map<uint32_t, std::string> names = SystemCalls();
  std::ostringstream out;
  for (uint32_t number = 0; number < 0x10000; ++number) {
    for (const FilterPath& path : ExploreFilter(filter, AUDIT_ARCH_X86_64, number, self)) {
      if (ActionName(path.action) == "trap") continue;
      const auto name = names.find(number);
      out << number << ' ' << (name != names.end() ? name->second : "?") << ": "
          << (path.condition.empty() ? "always" : path.condition) << ": " << ActionName(path.action)
          << '\n';
    }
  }
  return out.str();
}

TEST(PolicyDataTest, ListIsAsReviewed) {
  std::ifstream file(POLICY_LIST);
  std::ostringstream expected;
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with('#')) expected << line << '\n';
  }
  EXPECT_EQ(ListPolicy(ExportedPolicy()), expected.str())
      << "The policy is another than " POLICY_LIST ". If that is meant, change the list.";
}

TEST(PolicyDataTest, OtherEntryPointsKill) {
  const Filter filter = ExportedPolicy();
  for (uint32_t number = 0; number < 0x10000; ++number) {
    const struct {
      uint32_t arch;
      uint32_t bit;
    } entries[] = {{AUDIT_ARCH_X86_64, kX32Bit},
                   {AUDIT_ARCH_I386, 0},
                   {AUDIT_ARCH_I386, kX32Bit},
                   {AUDIT_ARCH_AARCH64, 0},
                   {0, 0}};
    for (const auto& [arch, bit] : entries) {
      const auto paths = ExploreFilter(filter, arch, number | bit, 0);
      ASSERT_EQ(paths.size(), 1u);
      ASSERT_EQ(ActionName(paths[0].action), "kill") << number;
    }
  }
}

TEST(PolicyDataTest, WithoutTheFilterNothingWouldDie) {
  // The simulator can say no: a filter that allows all.
  const Filter all = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  EXPECT_EQ(RunFilter(all, seccomp_data{}), static_cast<uint32_t>(SECCOMP_RET_ALLOW));
  EXPECT_NE(ListPolicy(all), ListPolicy(ExportedPolicy()));
}

using Arguments = std::array<long, 6>;

// Stands for the id of the process that makes the call.
constexpr long kSelf = 0x5e1f5e1f5e1f;

long Call64(long number, const Arguments& a) {
  long result;
  register long r10 __asm__("r10") = a[3];
  register long r8 __asm__("r8") = a[4];
  register long r9 __asm__("r9") = a[5];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

long Call32(long number, const Arguments& a) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                   : "r8", "r9", "r10", "r11", "memory");
  return result;
}

enum class Entry { k64, k32 };

// The attempts run as nobody: a hole in the filter must not become a hole in the machine.
void BecomeNobody() {
  constexpr id_t kNobody = 65534;
  if (geteuid() == 0 && (setgid(kNobody) != 0 || setuid(kNobody) != 0)) _exit(99);
}

// In a child of its own that has loaded the policy: makes the call and ends with kAlive, or with
// kAlive + 1 when the call's result is not `wanted`. Returns the child's wait status.
int Attempt(Entry entry, uint32_t number, Arguments arguments, bool want_result = false,
            long wanted = 0) {
  const pid_t pid = fork();
  if (pid == 0) {
    const int null = open("/dev/null", O_RDWR);
    for (int stream = 0; stream < 3; ++stream) dup2(null, stream);
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (long& argument : arguments) {
      if (argument == kSelf) argument = number == SYS_exit_group ? kAlive : getpid();
    }
    BecomeNobody();
    if (ReportForbiddenCalls() != 0 || LoadPolicy(OnForbiddenCall::kDie) != 0) _exit(98);
    const long result = entry == Entry::k64 ? Call64(static_cast<int>(number), arguments)
                                            : Call32(static_cast<int>(number), arguments);
    Call64(SYS_exit_group, {want_result && result != wanted ? kAlive + 1 : kAlive});
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return status;
}

std::string EndName(int status) {
  if (WIFSIGNALED(status)) return std::string("SIG") + sigabbrev_np(WTERMSIG(status));
  return "status " + std::to_string(WEXITSTATUS(status));
}

// What a child that makes this call must end as, by the simulator.
std::string ExpectedEnd(uint32_t number, const Arguments& arguments, uint32_t action) {
  if (action == SECCOMP_RET_KILL_PROCESS || action == SECCOMP_RET_TRAP) return "SIGSYS";
  if (number == SYS_exit_group) {
    return "status " + std::to_string(arguments[0] == kSelf ? kAlive : arguments[0] & 0xff);
  }
  if (number == SYS_tgkill) return "SIGABRT";
  return "status " + std::to_string(kAlive);
}

class PolicyKernelTest : public ::testing::Test {
 protected:
  const Filter filter_ = ExportedPolicy();
  char memory_[64] = {};

  std::vector<Arguments> Shapes() {
    const auto buffer = reinterpret_cast<long>(memory_);
    return {{0, 0, 0, 0, 0, 0},
            {1, buffer, 8, 0, 0, 0},
            {2, buffer, 8, 0, 0, 0},
            {3, buffer, 8, 0, 0, 0},
            {-1, -1, -1, -1, -1, -1},
            {1L << 32, buffer, 8, 0, 0, 0},
            {kSelf, kSelf, SIGABRT, 0, 0, 0},
            {kSelf, kSelf, SIGKILL, 0, 0, 0},
            {1, 1, SIGABRT, 0, 0, 0}};
  }

  void Check(uint32_t number, const Arguments& arguments) {
    seccomp_data call{};
    call.nr = static_cast<int>(number);
    call.arch = AUDIT_ARCH_X86_64;
    for (size_t i = 0; i < 6; ++i) {
      call.args[i] = static_cast<uint64_t>(arguments[i] == kSelf ? getpid() : arguments[i]);
    }
    const uint32_t action = RunFilter(filter_, call);
    const bool answered = (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
    const long answer = -static_cast<long>(action & SECCOMP_RET_DATA);
    EXPECT_EQ(EndName(Attempt(Entry::k64, number, arguments, answered, answer)),
              ExpectedEnd(number, arguments, action))
        << "system call " << number << "(" << arguments[0] << ", " << arguments[1] << ", "
        << arguments[2] << ")";
  }
};

TEST_F(PolicyKernelTest, WhatTheKernelExemptsDoesNothing) {
  for (const uint32_t number : {kUretprobe, kUprobe}) {
    for (const Arguments& arguments : Shapes()) {
      const std::string end = EndName(Attempt(Entry::k64, number, arguments, true, -ENXIO));
      EXPECT_TRUE(end == "SIGSYS" || end == "SIGILL" || end == "status 42")
          << number << ": " << end;
    }
  }
}

TEST_F(PolicyKernelTest, EveryNumberLivesOrDiesAsTheListSays) {
  std::map<uint32_t, std::string> numbers = SystemCalls();
  ASSERT_GT(numbers.size(), 300u);
  for (uint32_t number = 0; number < 1024; ++number) numbers[number];
  numbers[0xffffffff];
  numbers[0x7fffffff];
  numbers.erase(kUretprobe);
  numbers.erase(kUprobe);
  for (const auto& [number, name] : numbers) {
    // The listed calls and the lowest numbers in every shape, the others in three.
    const bool all = number <= SYS_rt_sigprocmask || number == SYS_tgkill ||
                     ExploreFilter(filter_, AUDIT_ARCH_X86_64, number, 0).size() > 1;
    const std::vector<Arguments> shapes = Shapes();
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (all || i == 0 || i == 4 || i == 6) Check(number, shapes[i]);
    }
  }
}

TEST_F(PolicyKernelTest, X32EntryPointKills) {
  for (uint32_t number = 0; number < 1024; ++number) {
    for (const Arguments& arguments : {Shapes()[0], Shapes()[1]}) {
      ASSERT_EQ(EndName(Attempt(Entry::k64, kX32Bit | number, arguments)), "SIGSYS") << number;
    }
  }
}

TEST_F(PolicyKernelTest, I386EntryPointKills) {
  for (uint32_t number = 0; number < 512; ++number) {
    for (const Arguments& arguments : {Shapes()[0], Shapes()[1]}) {
      const std::string end = EndName(Attempt(Entry::k32, number, arguments));
      // A kernel without the entry point raises SIGSEGV at the instruction.
      ASSERT_TRUE(end == "SIGSYS" || end == "SIGSEGV") << number << ": " << end;
    }
  }
}

}  // namespace
}  // namespace neon_redo

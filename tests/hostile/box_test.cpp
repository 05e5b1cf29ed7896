// What the sandbox does besides filtering system calls, each layer without the others: the filter
// is off here, so that a process can look at itself.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "cpp_core/redo/worker/command_line.h"
#include "src/worker/sandbox.h"

namespace neon_redo {
namespace {

// Runs look in a child that has entered the box; its return value.
int Inside(const SandboxConfig& config, const std::function<int()>& look) {
  const pid_t pid = fork();
  if (pid == 0) {
    const SandboxFailure failure = EnterSandbox(config);
    if (failure.step != nullptr) {
      fprintf(stderr, "%s: %s\n", failure.step, strerror(failure.error));
      _exit(200);
    }
    _exit(look());
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 300 + WTERMSIG(status);
}

SandboxConfig NoLayers() {
  SandboxConfig config;
  config.filter = false;
  return config;
}

// 0, or the number of the first thing that is not as it should be.
int LookAround() {
  if (fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0) return 1;
  for (int fd = 3; fd < 256; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) return 2;
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, data) != 0) return 3;
  for (const auto& d : data) {
    if (d.effective != 0 || d.permitted != 0 || d.inheritable != 0) return 4;
  }
  if (prctl(PR_GET_DUMPABLE) != 0) return 5;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 6;
  for (const auto which : {RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_CORE, RLIMIT_FSIZE}) {
    struct rlimit limit;
    if (getrlimit(which, &limit) != 0 || limit.rlim_cur != 0 || limit.rlim_max != 0) return 7;
  }
  struct rlimit processor;
  if (getrlimit(RLIMIT_CPU, &processor) != 0 || processor.rlim_max > 24 * 60 * 60) return 10;
  if (open("/dev/null", O_RDONLY) >= 0 || errno != EMFILE) return 8;
  if (dup(0) >= 0) return 9;
  return 0;
}

// LookAround in the box with pipes for outputs, as a worker has them.
int LookAroundInside(const SandboxConfig& config) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  fflush(nullptr);
  const int outputs[] = {dup(1), dup(2)};
  dup2(ends[1], 1);
  dup2(ends[1], 2);
  const int seen = Inside(config, LookAround);
  for (const int stream : {1, 2}) {
    dup2(outputs[stream - 1], stream);
    close(outputs[stream - 1]);
  }
  close(ends[0]);
  close(ends[1]);
  return seen;
}

TEST(BoxTest, DescriptorsCapabilitiesLimits) {
  const int extra = dup(0);
  EXPECT_EQ(LookAroundInside(NoLayers()), 0);
  SandboxConfig all = NoLayers();
  all.namespaces = true;
  all.landlock = LandlockVersion() > 0;
  EXPECT_EQ(LookAroundInside(all), 0);
  EXPECT_NE(LookAround(), 0) << "the look sees nothing";
  close(extra);
}

TEST(BoxTest, LowerLimitsStay) {
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_CPU, &before), 0);
  const struct rlimit lower = {1000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_CPU, &lower), 0);
  const int seen = Inside(NoLayers(), [] {
    struct rlimit limit;
    return getrlimit(RLIMIT_CPU, &limit) == 0 && limit.rlim_cur == 1000 ? 0 : 1;
  });
  ASSERT_EQ(setrlimit(RLIMIT_CPU, &before), 0);
  EXPECT_EQ(seen, 0);
}

TEST(BoxTest, AFileForOutputMayGrow) {
  char path[] = "/tmp/neon_redo_box.XXXXXX";
  const int file = mkstemp(path);
  ASSERT_GE(file, 0);
  fflush(nullptr);
  const int output = dup(1);
  dup2(file, 1);
  const int seen = Inside(NoLayers(), [] { return write(1, "x", 1) == 1 ? 0 : 1; });
  dup2(output, 1);
  close(output);
  close(file);
  unlink(path);
  EXPECT_EQ(seen, 0);
}

TEST(BoxTest, MemoryLimitCountsFromWhatIsMapped) {
  SandboxConfig config = NoLayers();
  config.memory_limit_mb = 32;
  auto grow = [](size_t size) { return sbrk(static_cast<intptr_t>(size)) != (void*)-1 ? 0 : 1; };
  EXPECT_EQ(Inside(config, [&] { return grow(28 << 20); }), 0);
  EXPECT_EQ(Inside(config, [&] { return grow(33 << 20); }), 1);
}

TEST(BoxTest, LandlockTakesTheFileSystemAway) {
  char directory[] = "/tmp/neon_redo_box.XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string inner = std::string(directory) + "/inner";
  // Without descriptors to open files with, names must do. Landlock is asked first.
  auto make = [&inner] { return mkdir(inner.c_str(), 0700) == 0 ? 0 : errno; };
  SandboxConfig config = NoLayers();
  EXPECT_EQ(Inside(config, make), 0);
  rmdir(inner.c_str());
  config.landlock = true;
  EXPECT_EQ(Inside(config, make), LandlockVersion() > 0 ? EACCES : 0);
  rmdir(inner.c_str());
  rmdir(directory);
}

std::string Namespace(const char* kind) {
  char target[64] = {};
  const std::string path = std::string("/proc/self/ns/") + kind;
  return readlink(path.c_str(), target, sizeof(target) - 1) > 0 ? target : "";
}

TEST(BoxTest, NamespacesAreItsOwn) {
  SandboxConfig config = NoLayers();
  for (const char* kind : {"user", "net", "ipc", "uts", "pid_for_children"}) {
    const std::string ours = Namespace(kind);
    ASSERT_FALSE(ours.empty());
    // That for children has no name before the first child.
    auto differs = [&] { return Namespace(kind) != ours ? 1 : 0; };
    config.namespaces = false;
    EXPECT_EQ(Inside(config, differs), 0) << kind;
    config.namespaces = true;
    EXPECT_EQ(Inside(config, differs), 1) << kind;
  }
}

TEST(BoxTest, DeathSignalSurvives) {
  SandboxConfig config = NoLayers();
  config.namespaces = true;
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    const SandboxFailure failure = EnterSandbox(config);
    int signal = 0;
    prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
    _exit(failure.step == nullptr ? signal : 200);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), SIGKILL);
}

TEST(BoxTest, InitialEnvironmentIsWiped) {
  // A program of its own, whose environment holds a secret.
  auto find = [] {
    char** variable = environ;
    for (; *variable != nullptr; ++variable) {
      if (std::strstr(*variable, "PATH=") == *variable) return 1;
    }
    return 0;
  };
  ASSERT_EQ(find(), 1);
  EXPECT_EQ(Inside(NoLayers(), find), 0);
}

}  // namespace
}  // namespace neon_redo

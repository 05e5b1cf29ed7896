// Does to a manager's workers what may happen to processes, at random, until it is told to stop.
#ifndef NEON_REDO_TESTS_UNIT_MANAGER_CHAOS_H_
#define NEON_REDO_TESTS_UNIT_MANAGER_CHAOS_H_

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "neon_redo/manager.h"

namespace neon_redo::testing {

class Chaos {
 public:
  enum Deed { kKill, kStop, kNoiseOnOutput, kPageOfNoise, kEndlessLine, kDeeds };

  // Between two deeds there are at most so many microseconds of pause and at least so many calls of
  // those that the test counts in calls: on a slow machine chaos is slow, too.
  Chaos(RedoManager* manager, unsigned pause, const std::atomic<uint32_t>* calls, uint32_t every)
      : manager_(manager), pause_(pause), calls_(calls), every_(every) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Chaos() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // How often each was done.
  const std::array<std::atomic<uint64_t>, kDeeds>& counts() const { return counts_; }

 private:
  void Run() {
    // The manager may close a worker's output between WriteTo's two calls. In this thread alone: a
    // SIGPIPE that the manager gets must end the test.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    std::mt19937 random(7);
    while (!stop_) {
      usleep(static_cast<unsigned>(random()) % pause_);
      if (*calls_ < next_) continue;
      const std::vector<WorkerStatus> workers = manager_->status().workers;
      if (workers.empty()) continue;
      const pid_t pid = workers[random() % workers.size()].pid;
      // A process that is not ours any more must not be hit: only our own children are.
      if (pid <= 0 || !IsChild(pid)) continue;
      const auto deed = static_cast<Deed>(random() % kDeeds);
      if (!Do(deed, pid, &random)) continue;
      ++counts_[deed];
      next_ = *calls_ + every_;
    }
  }

  static bool IsChild(pid_t pid) {
    siginfo_t info;
    info.si_pid = 0;
    return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
  }

  static bool Do(Deed deed, pid_t pid, std::mt19937* random) {
    switch (deed) {
      case kKill:
        return kill(pid, SIGKILL) == 0;
      case kStop:
        return kill(pid, SIGSTOP) == 0;
      case kNoiseOnOutput:
        return WriteTo(pid, 1, std::string(1 + (*random)() % 3000, 'n'));
      case kPageOfNoise:
        return WriteTo(pid, 1, std::string(kBlockSize, 'p'));
      case kEndlessLine:
        return WriteTo(pid, 2, std::string(60'000, 'e'));
      case kDeeds:
        break;
    }
    return false;
  }

  // Into the pipe that the worker has as its descriptor.
  static bool WriteTo(pid_t pid, int descriptor, const std::string& noise) {
    const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(descriptor);
    const int fd = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return false;
    const bool done = write(fd, noise.data(), noise.size()) > 0;
    close(fd);
    return done;
  }

  RedoManager* const manager_;
  const unsigned pause_;
  const std::atomic<uint32_t>* const calls_;
  const uint32_t every_;
  uint32_t next_ = 0;
  std::atomic<bool> stop_ = false;
  std::array<std::atomic<uint64_t>, kDeeds> counts_{};
  std::thread thread_;
};

}  // namespace neon_redo::testing

#endif  // NEON_REDO_TESTS_UNIT_MANAGER_CHAOS_H_

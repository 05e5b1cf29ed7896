// Threads for what would keep the server's loop waiting.
#ifndef NEON_REDO_WAL_SERVER_BACKGROUND_H_
#define NEON_REDO_WAL_SERVER_BACKGROUND_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "cpp_core/base/file_descriptor.h"
#include "neon_redo/error.h"

namespace neon_redo {

// One owner calls its functions; what it is given runs on threads of its own, in the order in which it
// came. They are started with the first work.
class Background {
 public:
  // Runs on the owner's thread, in RunCompletions.
  using Completion = std::function<void()>;

  // kTooManyOpenFiles, kIo: there is no event for fd().
  static Result<std::unique_ptr<Background>> Open(size_t threads);
  // Sets ending() and waits for what runs. What has not begun is dropped, and so are completions.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Readable: RunCompletions has something to do.
  int fd() const { return event_.get(); }
  // kOutOfMemory: no thread can be started. Nothing will run then.
  Status Run(std::function<Completion()> work);
  void RunCompletions();
  // The work is to end early: its result is of no use. Lives as long as what runs.
  const std::atomic<bool>& ending() const { return ending_; }

 private:
  Background(size_t threads, FileDescriptor event) : most_(threads), event_(std::move(event)) {}
  void Work();

  const size_t most_;
  const FileDescriptor event_;
  std::atomic<bool> ending_{false};
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<Completion()>> work_;
  std::vector<Completion> done_;
  size_t idle_ = 0;  // threads without work
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_BACKGROUND_H_

#include "cpp_core/wal_server/background.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <system_error>
#include <utility>

#include "cpp_core/base/files.h"

namespace neon_redo {

Result<std::unique_ptr<Background>> Background::Open(size_t threads) {
  FileDescriptor event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return FileError("create an event for", "threads");
  return std::unique_ptr<Background>(new Background(threads, std::move(event)));
}

Background::~Background() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Status Background::Run(std::function<Completion()> work) {
  std::unique_lock lock(mutex_);
  if (work_.size() >= idle_ && threads_.size() < most_) {
    try {
      threads_.emplace_back([this] { Work(); });
      idle_++;
    } catch (const std::system_error&) {
      // Those that there are do it.
    }
  }
  if (threads_.empty())
    return MakeError(ErrorCode::kOutOfMemory, "could not start a thread to decompress WAL");
  work_.push_back(std::move(work));
  lock.unlock();
  changed_.notify_one();
  return {};
}

void Background::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !work_.empty(); });
    if (ending_) return;
    const auto work = std::move(work_.front());
    work_.pop_front();
    idle_--;
    lock.unlock();
    Completion completion = work();
    lock.lock();
    idle_++;
    done_.push_back(std::move(completion));
    const uint64_t one = 1;
    // It fails only where the event is set already.
    static_cast<void>(!write(event_.get(), &one, sizeof(one)));
  }
}

void Background::RunCompletions() {
  uint64_t count;
  static_cast<void>(!read(event_.get(), &count, sizeof(count)));
  std::vector<Completion> done;
  {
    const std::lock_guard lock(mutex_);
    done.swap(done_);
  }
  for (const Completion& completion : done) completion();
}

}  // namespace neon_redo

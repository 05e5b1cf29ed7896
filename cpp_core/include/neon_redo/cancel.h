// A signal by which one thread, or a signal handler, reaches another thread that waits on sockets.
#ifndef NEON_REDO_CANCEL_H_
#define NEON_REDO_CANCEL_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace neon_redo {

// Owns one file descriptor (eventfd(2)). Set() may be called from any thread and from a signal
// handler; the waiting thread polls fd(). A cancellation is set once and stays set. The object must
// outlive everything that it was given to.
//
//   neon_redo::CancelSignal stop;                  // a global
//   std::signal(SIGINT, [](int) { stop.Set(); });
class CancelSignal {
 public:
  CancelSignal() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~CancelSignal() {
    if (fd_ >= 0) close(fd_);
  }
  CancelSignal(const CancelSignal&) = delete;
  CancelSignal& operator=(const CancelSignal&) = delete;

  void Set() const {
    const uint64_t one = 1;
    // The only failure is a counter at its limit, and then the signal is set already.
    [[maybe_unused]] const ssize_t n = write(fd_, &one, sizeof(one));
  }

  // Unsets the signal, where it wakes a thread rather than cancels its work.
  void Clear() const {
    uint64_t count;
    [[maybe_unused]] const ssize_t n = read(fd_, &count, sizeof(count));
  }

  // Readable (POLLIN) while the signal is set. -1 when the process had no descriptor left: then the
  // signal is never set.
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_CANCEL_H_

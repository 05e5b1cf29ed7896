// A signal by which one thread reaches another that waits on sockets.
#ifndef NEON_REDO_CANCEL_H_
#define NEON_REDO_CANCEL_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace neon_redo {

// Set() may be called from any thread and from a signal handler; whoever waits polls fd(). As a
// cancellation it is set once and stays. Outlives everything it was given to.
class CancelSignal {
 public:
  CancelSignal() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~CancelSignal() { close(fd_); }
  CancelSignal(const CancelSignal&) = delete;
  CancelSignal& operator=(const CancelSignal&) = delete;

  void Set() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(fd_, &one, sizeof(one));  // can only be set already
  }

  // Takes it back, where it serves to wake rather than to cancel.
  void Clear() const {
    uint64_t count;
    [[maybe_unused]] const ssize_t n = read(fd_, &count, sizeof(count));
  }

  // Readable (POLLIN) once set.
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_CANCEL_H_

// Preloaded into a program that keeps files safe, makes its first fdatasync fail with EIO. Those
// after it succeed, as the kernel reports an error of writing back once.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

extern "C" int fdatasync(int fd) {
  static std::atomic<bool> failed = false;
  if (!failed.exchange(true)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

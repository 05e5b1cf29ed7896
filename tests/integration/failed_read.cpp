// Preloaded into a program, makes reads of files fail with EIO whose path ends with $FAILED_READ, after
// the first $FAILED_READ_AFTER of them.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

bool Fails(int fd) {
  const char* name = std::getenv("FAILED_READ");
  const char* after = std::getenv("FAILED_READ_AFTER");
  static std::atomic<int> good = after == nullptr ? 0 : std::atoi(after);
  char path[PATH_MAX];
  const auto link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), path, sizeof(path));
  if (name == nullptr || length < 0) return false;
  const std::string_view whole(path, static_cast<size_t>(length));
  if (!whole.ends_with(name) || good-- > 0) return false;
  errno = EIO;
  return true;
}

}  // namespace

extern "C" ssize_t pread(int fd, void* to, size_t size, off_t at) {
  return Fails(fd) ? -1 : syscall(SYS_pread64, fd, to, size, at);
}

extern "C" ssize_t read(int fd, void* to, size_t size) {
  return Fails(fd) ? -1 : syscall(SYS_read, fd, to, size);
}

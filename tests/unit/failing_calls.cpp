// The linker takes these functions instead of those of the C library. Where file offsets have 64 bits,
// the header gives pread the name pread64.
#include "tests/unit/failing_calls.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace neon_redo {

thread_local CallPlan readdir_plan;
thread_local CallPlan fdatasync_plan;
thread_local CallPlan pread_plan;

}  // namespace neon_redo

// readdir64 is the same function on 64-bit Linux, and the one that file offsets of 64 bits ask for.
extern "C" dirent* readdir(DIR* stream) {
  if (neon_redo::readdir_plan.Fails()) return nullptr;
  static const auto real = reinterpret_cast<dirent* (*)(DIR*)>(dlsym(RTLD_NEXT, "readdir64"));
  return real(stream);
}

extern "C" ssize_t pread(int fd, void* to, size_t size, off_t at) {
  if (neon_redo::pread_plan.Fails()) return -1;
  return syscall(SYS_pread64, fd, to, size, at);
}

extern "C" int fdatasync(int fd) {
  if (neon_redo::fdatasync_plan.Fails()) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

#include "cpp_core/base/open_files.h"

#include <sys/resource.h>

#include <algorithm>

namespace neon_redo {

namespace {

rlimit Limit() {
  rlimit limit{};
  // It fails for a bad address only.
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) limit = {1024, 1024};
  return limit;
}

}  // namespace

size_t OpenFileLimit() { return Limit().rlim_cur; }

size_t RaiseOpenFileLimit(size_t wanted) {
  rlimit limit = Limit();
  if (limit.rlim_cur >= wanted || limit.rlim_cur >= limit.rlim_max) return limit.rlim_cur;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

}  // namespace neon_redo

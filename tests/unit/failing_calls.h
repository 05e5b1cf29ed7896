// System calls that fail when a test says so, in the calling thread alone.
#ifndef NEON_REDO_TESTS_UNIT_FAILING_CALLS_H_
#define NEON_REDO_TESTS_UNIT_FAILING_CALLS_H_

#include <cerrno>

namespace neon_redo {

// How the next calls end: after `good` of them `failures` fail with `error`, and those after them
// succeed again, as fdatasync does after an error that it has reported. 0: none fails.
struct CallPlan {
  int good = 0;
  int error = 0;
  int failures = 1;

  // Whether this call fails; errno is then set.
  bool Fails() {
    if (error == 0 || good-- > 0) return false;
    errno = error;
    if (--failures == 0) error = 0;
    return true;
  }
};

extern thread_local CallPlan readdir_plan;
extern thread_local CallPlan fdatasync_plan;
extern thread_local CallPlan pread_plan;

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_FAILING_CALLS_H_

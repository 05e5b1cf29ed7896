#include "cpp_core/redo/manager/time_slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace neon_redo {

namespace {
// struct sched_attr of linux/sched/types.h, its first version. That header and the C library's
// sched.h exclude each other.
struct SchedulingAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};
static_assert(sizeof(SchedulingAttributes) == 48);  // SCHED_ATTR_SIZE_VER0

// The kernel's own is some 3 ms. A tenth of this served no better.
constexpr unsigned long long kSliceNanoseconds = 1'000'000;
}  // namespace

void AskForShortTimeSlices() {
  SchedulingAttributes attributes = {};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0) return;
  // Of a fair policy it is the slice (sched_setattr(2)); another policy was its program's choice.
  if (attributes.policy != SCHED_OTHER && attributes.policy != SCHED_BATCH) return;
  attributes.runtime = kSliceNanoseconds;
  (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace neon_redo

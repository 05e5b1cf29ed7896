#include "cpp_core/redo/manager/processor_hold.h"

#include <unistd.h>

namespace neon_redo {

void ProcessorHold::Reset(pid_t pid) {
  pid_ = pid;
  processor_ = -1;
  // The main thread's: the calling thread may be held to fewer by its program.
  refused_ = sched_getaffinity(getpid(), sizeof(all_), &all_) != 0 || CPU_COUNT(&all_) < 2;
}

void ProcessorHold::FollowCaller() {
  if (refused_) return;
  const int here = sched_getcpu();
  if (here == processor_ || here < 0 || here >= CPU_SETSIZE) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(here, &one);
  if (sched_setaffinity(pid_, sizeof(one), &one) != 0) {
    refused_ = true;
    return;
  }
  processor_ = here;
}

void ProcessorHold::Release() {
  if (processor_ < 0) return;
  sched_setaffinity(pid_, sizeof(all_), &all_);
  processor_ = -1;
}

}  // namespace neon_redo

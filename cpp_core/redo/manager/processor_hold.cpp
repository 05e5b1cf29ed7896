#include "cpp_core/redo/manager/processor_hold.h"

#include <unistd.h>

namespace neon_redo {

namespace {
cpu_set_t Only(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return set;
}
}  // namespace

void ProcessorHold::Reset(pid_t pid) {
  pid_ = pid;
  processor_ = -1;
  paired_ = false;
  // The main thread's: the calling thread may be held to fewer by its program.
  refused_ = sched_getaffinity(getpid(), sizeof(all_), &all_) != 0 || CPU_COUNT(&all_) < 2;
}

void ProcessorHold::FollowCaller() {
  if (refused_) return;
  const int here = sched_getcpu();
  if (here >= 0 && here < CPU_SETSIZE) HoldTo(here);
}

bool ProcessorHold::HoldTo(int processor) {
  if (processor == processor_) return true;
  const cpu_set_t one = Only(processor);
  refused_ = sched_setaffinity(pid_, sizeof(one), &one) != 0;
  if (!refused_) processor_ = processor;
  return !refused_;
}

void ProcessorHold::Pair(size_t n) {
  if (refused_ || paired_) return;
  n %= processors();
  int processor = 0;
  while (!CPU_ISSET(processor, &all_) || n-- > 0) ++processor;
  const cpu_set_t one = Only(processor);
  if (!HoldTo(processor)) return;
  paired_ = sched_getaffinity(0, sizeof(thread_before_), &thread_before_) == 0 &&
            sched_setaffinity(0, sizeof(one), &one) == 0;
  refused_ = !paired_;
}

void ProcessorHold::Unpair() {
  if (!paired_) return;
  paired_ = false;
  sched_setaffinity(0, sizeof(thread_before_), &thread_before_);
  Release();
}

void ProcessorHold::Release() {
  if (processor_ < 0 || paired_) return;
  sched_setaffinity(pid_, sizeof(all_), &all_);
  processor_ = -1;
}

}  // namespace neon_redo

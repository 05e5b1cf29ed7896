// Holding a process to one processor, alone or with the thread that serves it, and letting it go.
#ifndef NEON_REDO_REDO_MANAGER_PROCESSOR_HOLD_H_
#define NEON_REDO_REDO_MANAGER_PROCESSOR_HOLD_H_

#include <sched.h>
#include <sys/types.h>

#include <cstddef>

namespace neon_redo {

// Not thread-safe. Costs a system call only when something changes.
class ProcessorHold {
 public:
  // The process, and the processors it may use when it is let go: this process's own.
  void Reset(pid_t pid);

  // Holds it to the processor that the calling thread is on.
  void FollowCaller();
  // Holds it and the calling thread to one processor, the n-th of them all, counted round.
  void Pair(size_t n);
  // Lets both go. By the same thread.
  void Unpair();
  // Lets the process go, unless it is paired.
  void Release();

  // How many it may use when it is let go.
  size_t processors() const { return static_cast<size_t>(CPU_COUNT(&all_)); }
  bool paired() const { return paired_; }
  int processor() const { return processor_; }  // -1: not held

 private:
  bool HoldTo(int processor);

  pid_t pid_ = 0;
  int processor_ = -1;
  bool paired_ = false;
  bool refused_ = false;  // the system does not let us: not tried again
  cpu_set_t all_ = {};
  cpu_set_t thread_before_;  // where the paired thread was allowed
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_PROCESSOR_HOLD_H_

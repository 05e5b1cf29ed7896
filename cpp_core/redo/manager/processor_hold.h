// Holding a process to one processor, and letting it go again.
#ifndef NEON_REDO_REDO_MANAGER_PROCESSOR_HOLD_H_
#define NEON_REDO_REDO_MANAGER_PROCESSOR_HOLD_H_

#include <sched.h>
#include <sys/types.h>

namespace neon_redo {

// Not thread-safe. Costs a system call only when something changes.
class ProcessorHold {
 public:
  // The process, and the processors it may use when it is let go: this process's own.
  void Reset(pid_t pid);

  // Holds it to the processor that the calling thread is on.
  void FollowCaller();
  void Release();

  int processor() const { return processor_; }  // -1: not held

 private:
  pid_t pid_ = 0;
  int processor_ = -1;
  bool refused_ = false;  // the system does not let us: not tried again
  cpu_set_t all_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_PROCESSOR_HOLD_H_

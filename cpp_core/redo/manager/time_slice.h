// How long the kernel lets the calling thread run before another thread's turn comes.
#ifndef NEON_REDO_REDO_MANAGER_TIME_SLICE_H_
#define NEON_REDO_REDO_MANAGER_TIME_SLICE_H_

namespace neon_redo {

// Asks for short turns, for the calling thread and the processes it starts from here on. A thread
// that asks for shorter turns gets them sooner, and not more processor time in total. Where the
// kernel has no such thing (before Linux 6.12), or refuses, nothing changes.
void AskForShortTimeSlices();

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_TIME_SLICE_H_

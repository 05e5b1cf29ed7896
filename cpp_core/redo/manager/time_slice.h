// How long the kernel lets the calling thread run before others get their turn.
#ifndef NEON_REDO_REDO_MANAGER_TIME_SLICE_H_
#define NEON_REDO_REDO_MANAGER_TIME_SLICE_H_

namespace neon_redo {

// Asks for short turns, for the calling thread and the processes it starts from here on. Who asks
// for shorter ones gets them sooner, and no more processor time in whole. Where the kernel has no
// such thing (before Linux 6.12), or refuses, all stays as it is.
void AskForShortTimeSlices();

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_TIME_SLICE_H_

// The part of the engine that replays records (engine.h is the face).
#ifndef NEON_REDO_SRC_APPLY_H_
#define NEON_REDO_SRC_APPLY_H_

namespace neon_redo {

// Once, after InitPages.
void InitApply();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_APPLY_H_

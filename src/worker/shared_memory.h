// The server's shared memory, as far as redo needs it. Part of the engine (engine.h).
#ifndef NEON_REDO_SRC_WORKER_SHARED_MEMORY_H_
#define NEON_REDO_SRC_WORKER_SHARED_MEMORY_H_

namespace neon_redo {

// Makes the buffer pool and the locks around it, in private memory that needs no cleanup. Call it once,
// before the pool is opened.
void InitSharedMemory();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_SHARED_MEMORY_H_

// What the worker may still do once it reads input: read 0, write 1 and 2, grow its heap, end.
#ifndef NEON_REDO_SRC_SANDBOX_H_
#define NEON_REDO_SRC_SANDBOX_H_

namespace neon_redo {

// Closes every descriptor above 2, gives up privileges and limits, loads the filter. Irreversible.
// On any failure ereport(FATAL): a worker that cannot be confined does not start.
// memory_limit_mb: address space that may be added to what is mapped now, in MiB.
void EnterSandbox(int memory_limit_mb);

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_SANDBOX_H_

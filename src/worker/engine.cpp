// Start-up of the redo engine. CreateSharedMemoryAndSemaphores (storage/ipc/ipci.c) would make
// every shared structure of a server, a System V segment, semaphores and a dynamic shared memory
// segment; redo uses the buffer pool and the lightweight locks around it. So exactly those are made
// here, with the server's own functions, in memory that is private and needs no cleaning up.
#include "src/worker/engine.h"

#include <sys/mman.h>

#include "src/server.h"
#include "src/worker/pages.h"
#include "src/worker/replay.h"

namespace neon_redo {

namespace {

void InitSharedMemory() {
  // The pool, the lock array (about 200 padded locks), hash tables; untouched pages cost nothing.
  constexpr Size kSize = kSharedBuffers * (Size{BLCKSZ} + 512) + 512 * 1024;
  void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ereport(FATAL, (errmsg("could not map %zu bytes: %m", kSize)));
  auto* header = static_cast<PGShmemHeader*>(memory);
  header->magic = PGShmemMagic;
  header->creatorPID = getpid();
  header->totalsize = kSize;
  header->freeoffset = MAXALIGN(sizeof(PGShmemHeader));
  InitShmemAccess(header);
  InitShmemAllocation();
  CreateLWLocks();
  InitShmemIndex();
  NBuffers = kSharedBuffers;
  InitBufferPool();
}

}  // namespace

void StartEngine() {
  if (DataChecksumsEnabled())
    ereport(FATAL, (errmsg("the home directory of a WAL redo worker must have no data checksums"),
                    errhint("Use a directory made by \"neon-redo worker\", not a cluster.")));
  InitSharedMemory();

  // ConditionVariableBroadcast, at the end of a page read, looks at the process's own entry.
  static PGPROC self;
  MyProc = &self;

  InitFileAccess();
  smgrinit();
  InitBufferPoolAccess();
  CurrentResourceOwner = ResourceOwnerCreate(nullptr, "WAL redo");
  InRecovery = true;
  RmgrStartup();
  InitPages();
  InitReplay();
}

}  // namespace neon_redo

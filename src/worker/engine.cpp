// Starts the redo engine. CreateSharedMemoryAndSemaphores (storage/ipc/ipci.c) would create every
// shared structure of a server, a System V segment, semaphores and a dynamic shared memory segment.
// Redo uses only the buffer pool and the lightweight locks around it. This file creates those two
// with the server's own functions, in private memory that needs no cleanup.
#include "src/worker/engine.h"

#include <sys/mman.h>

#include "src/server.h"
#include "src/worker/pages.h"
#include "src/worker/replay.h"

namespace neon_redo {

namespace {

void InitSharedMemory() {
  // Room for the pool, about 200 padded locks and hash tables; untouched pages cost no memory.
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
  CreateBufferPool();
}

}  // namespace

void StartEngine() {
  if (DataChecksumsEnabled())
    ereport(FATAL, (errmsg("the home directory of a WAL redo worker must have no data checksums"),
                    errhint("Use a directory made by \"neon-redo worker\", not a cluster.")));
  InitSharedMemory();

  // ConditionVariableBroadcast, at the end of a page read, uses the process's own PGPROC.
  static PGPROC self;
  SetOwnProcess(&self);

  InitFileAccess();
  smgrinit();
  OpenBufferPool();
  CurrentResourceOwner = ResourceOwnerCreate(nullptr, "WAL redo");
  InRecovery = true;
  RmgrStartup();
  InitPages();
  InitReplay();
}

}  // namespace neon_redo

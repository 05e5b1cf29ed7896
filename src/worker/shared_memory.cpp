// CreateSharedMemoryAndSemaphores (storage/ipc/ipci.c) would create every shared structure of a server,
// a System V segment, semaphores and a dynamic shared memory segment. Redo uses only the buffer pool
// and the lightweight locks around it. Up to 18 this file creates those two, with the server's own
// functions. In 19 each part of the server has asked for its memory before a module is loaded, and
// gets it in one call or not at all.
#include "src/worker/shared_memory.h"

#include <sys/mman.h>

#include "src/server.h"
#include "src/worker/pages.h"

#if PG_VERSION_NUM >= 190000
extern "C" {
#include "postmaster/postmaster.h"
#include "storage/shmem_internal.h"
}
#endif

namespace neon_redo {

namespace {

PGShmemHeader* MapMemory(Size size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ereport(FATAL, (errmsg("could not map %zu bytes: %m", size)));
  auto* header = static_cast<PGShmemHeader*>(memory);
  header->magic = PGShmemMagic;
  header->creatorPID = getpid();
  header->totalsize = size;
  return header;
}

}  // namespace

#if PG_VERSION_NUM >= 190000

void InitSharedMemory() {
  NBuffers = kSharedBuffers;
  // As PostmasterMain does before CreateSharedMemoryAndSemaphores.
  InitializeMaxBackends();
  InitPostmasterChildSlots();
  InitializeFastPathLocks();
  ShmemCallRequestCallbacks();
  PGShmemHeader* header = MapMemory(CalculateShmemSize());
  header->content_offset = MAXALIGN(sizeof(PGShmemHeader));
  InitShmemAllocator(header);
  ShmemInitRequested();
}

#else

void InitSharedMemory() {
  // Room for the pool, about 200 padded locks and hash tables; untouched pages cost no memory.
  PGShmemHeader* header = MapMemory(kSharedBuffers * (Size{BLCKSZ} + 512) + 512 * 1024);
  header->freeoffset = MAXALIGN(sizeof(PGShmemHeader));
  InitShmemAccess(header);
  InitShmemAllocation();
  CreateLWLocks();
  InitShmemIndex();
  NBuffers = kSharedBuffers;
#if PG_VERSION_NUM >= 180000
  BufferManagerShmemInit();
#else
  InitBufferPool();
#endif
}

#endif

}  // namespace neon_redo

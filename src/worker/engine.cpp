// Starts the redo engine.
#include "src/worker/engine.h"

#include "src/server.h"
#include "src/worker/pages.h"
#include "src/worker/replay.h"
#include "src/worker/shared_memory.h"

namespace neon_redo {

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

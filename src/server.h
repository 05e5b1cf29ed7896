// The PostgreSQL server headers that most files of neon.so need, with C linkage. Include this file
// before any other server header, and wrap further server headers in extern "C".
//
// The module is compiled for each major version of the server. What their headers differ in has one
// name here, in monitoring/server.h (replication slots), in worker/shared_memory.cpp and nowhere else:
// no other file asks for PG_VERSION_NUM with the preprocessor.
#ifndef NEON_REDO_SRC_SERVER_H_
#define NEON_REDO_SRC_SERVER_H_

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/pg_shmem.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

// The C library of a later Debian, which the headers of 17 and 18 were configured for, declares it;
// an older one does not. The server runs with the C library that has it.
#if defined(HAVE_DECL_STRLCPY) && HAVE_DECL_STRLCPY && !__GLIBC_PREREQ(2, 38)
size_t strlcpy(char* to, const char* from, size_t size);
#endif
}

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 200000
#error "neon_redo is written for PostgreSQL 15 to 18, and for betas of 19"
#endif

// Names of the core would hide names of the server (BlockNumber, ForkNumber). Files outside the
// namespace therefore write core:: and no using directive.
namespace neon_redo {

// From 18 on a page is read by asynchronous I/O only, which a worker does not have.
inline constexpr bool kPagesAreReadAsynchronously = PG_VERSION_NUM >= 180000;

#if PG_VERSION_NUM >= 160000
using ServerRelation = ::RelFileLocator;  // which relation's files: tablespace, database, number
inline ServerRelation& RelationOf(DecodedBkpBlock* block) { return block->rlocator; }
inline const ServerRelation& RelationOf(SMgrRelation files) { return files->smgr_rlocator.locator; }
inline bool IsSame(const ServerRelation& a, const ServerRelation& b) {
  return RelFileLocatorEquals(a, b);
}
inline void SetTag(BufferTag* tag, const ServerRelation& rel, ::ForkNumber fork,
                   ::BlockNumber block) {
  InitBufferTag(tag, &rel, fork, block);
}
inline void ClearTag(BufferTag* tag) { ClearBufferTag(tag); }
#else
using ServerRelation = ::RelFileNode;
inline ServerRelation& RelationOf(DecodedBkpBlock* block) { return block->rnode; }
inline const ServerRelation& RelationOf(SMgrRelation files) { return files->smgr_rnode.node; }
inline bool IsSame(const ServerRelation& a, const ServerRelation& b) {
  return RelFileNodeEquals(a, b);
}
inline void SetTag(BufferTag* tag, const ServerRelation& rel, ::ForkNumber fork,
                   ::BlockNumber block) {
  INIT_BUFFERTAG(*tag, rel, fork, block);
}
inline void ClearTag(BufferTag* tag) { CLEAR_BUFFERTAG(*tag); }
#endif

#if PG_VERSION_NUM >= 170000
inline constexpr ProcNumber kNoBackend = INVALID_PROC_NUMBER;
inline constexpr int kAuxiliaryProcesses = NUM_AUXILIARY_PROCS;
inline void SetOwnProcess(PGPROC* self) {
  MyProc = self;
  MyProcNumber = 0;
}
// Removes the entries of the storage manager, all there are.
inline void RemoveStorageEntries(SMgrRelation*, int) { smgrdestroyall(); }
#else
inline constexpr BackendId kNoBackend = InvalidBackendId;
inline constexpr int kAuxiliaryProcesses = NUM_AUXPROCTYPES;
inline void SetOwnProcess(PGPROC* self) { MyProc = self; }
inline void RemoveStorageEntries(SMgrRelation* entries, int count) {
  for (int i = 0; i < count; i++) smgrclose(entries[i]);
}
#endif

#if PG_VERSION_NUM >= 180000
inline void OpenBufferPool() { InitBufferManagerAccess(); }
#else
inline void OpenBufferPool() { InitBufferPoolAccess(); }
#endif

#if PG_VERSION_NUM >= 190000
using BufferState = uint64;  // flags, and who has pins and locks
inline BufferState StateOf(BufferDesc* buffer) { return pg_atomic_read_u64(&buffer->state); }
inline void SetState(BufferDesc* buffer, BufferState state) {
  pg_atomic_init_u64(&buffer->state, state);
}
// Makes a buffer that is in no table available again. From 19 on the clock finds it by itself.
inline void FreeBuffer(BufferDesc*) {}
#else
using BufferState = uint32;
inline BufferState StateOf(BufferDesc* buffer) { return pg_atomic_read_u32(&buffer->state); }
inline void SetState(BufferDesc* buffer, BufferState state) {
  pg_atomic_init_u32(&buffer->state, state);
}
inline void FreeBuffer(BufferDesc* buffer) { StrategyFreeBuffer(buffer); }
#endif

}  // namespace neon_redo
namespace core = neon_redo;

#endif  // NEON_REDO_SRC_SERVER_H_

// The PostgreSQL server headers that most files of neon.so need, with C linkage. Include this file
// before any other server header, and wrap further server headers in extern "C". The module is
// written for PostgreSQL 15; compiling it against any other version is an error.
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
}

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 160000
#error "neon_redo is written for PostgreSQL 15"
#endif

// Names of the core would hide names of the server (BlockNumber, ForkNumber). Files outside the
// namespace therefore write core:: and no using directive.
namespace neon_redo {}
namespace core = neon_redo;

#endif  // NEON_REDO_SRC_SERVER_H_

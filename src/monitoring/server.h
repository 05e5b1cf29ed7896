// The server headers that the walsender statistics need in addition to src/server.h.
#ifndef NEON_REDO_SRC_MONITORING_SERVER_H_
#define NEON_REDO_SRC_MONITORING_SERVER_H_

#include "src/server.h"

// With ENABLE_GSS, libpq-be.h includes the GSSAPI headers, which the server's development package
// does not contain. Without the macro it declares the same layout with a plain pointer.
#pragma push_macro("ENABLE_GSS")
#undef ENABLE_GSS
extern "C" {
#include "libpq/auth.h"
#include "libpq/libpq.h"
}
#pragma pop_macro("ENABLE_GSS")

extern "C" {
#include "access/xlogrecovery.h"
#include "catalog/pg_authid.h"
#include "common/ip.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/slot.h"
#include "replication/syncrep.h"
#include "replication/walreceiver.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/inet.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

namespace neon_redo {

#if PG_VERSION_NUM >= 160000
inline bool IsInvalidated(const ReplicationSlot& slot) {
  return slot.data.invalidated != RS_INVAL_NONE;
}
#else
inline bool IsInvalidated(const ReplicationSlot&) { return false; }  // it then has no restart_lsn
#endif

// The process that uses the slot; 0: none.
#if PG_VERSION_NUM >= 190000
inline int ActivePid(const ReplicationSlot& slot) {
  return slot.active_proc == INVALID_PROC_NUMBER ? 0 : GetPGProcByNumber(slot.active_proc)->pid;
}
#else
inline int ActivePid(const ReplicationSlot& slot) { return slot.active_pid; }
#endif

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_SERVER_H_

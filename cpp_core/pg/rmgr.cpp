#include "cpp_core/pg/rmgr.h"

namespace neon_redo {

const char* RmgrName(uint8_t rmid) {
  static constexpr const char* kNames[] = {
      "XLOG",       "Transaction",   "Storage", "CLOG",     "Database",
      "Tablespace", "MultiXact",     "RelMap",  "Standby",  "Heap2",
      "Heap",       "Btree",         "Hash",    "Gin",      "Gist",
      "Sequence",   "SPGist",        "BRIN",    "CommitTs", "ReplicationOrigin",
      "Generic",    "LogicalMessage"};
  static_assert(sizeof(kNames) / sizeof(kNames[0]) == kMaxBuiltinRmgr + 1);
  return rmid <= kMaxBuiltinRmgr ? kNames[rmid] : nullptr;
}

}  // namespace neon_redo

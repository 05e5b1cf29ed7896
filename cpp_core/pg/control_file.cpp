// The one file of the library that includes the server's headers: the struct is public
// (catalog/pg_control.h), and so are the constants that ReadControlFile (access/transam/xlog.c)
// compares its fields with.
#define FRONTEND 1
extern "C" {
#include "postgres.h"
//
#include "access/heaptoast.h"
#include "access/xlog_internal.h"
#include "catalog/catversion.h"
#include "catalog/pg_control.h"
#include "storage/large_object.h"
}

#include <cstddef>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/control_file.h"

namespace neon_redo {

std::string ControlFileBytes() {
  ControlFileData control = {};
  control.system_identifier = 1;
  control.pg_control_version = PG_CONTROL_VERSION;
  control.catalog_version_no = CATALOG_VERSION_NO;
  control.state = DB_SHUTDOWNED;
  control.maxAlign = MAXIMUM_ALIGNOF;
  control.floatFormat = FLOATFORMAT_VALUE;
  control.blcksz = BLCKSZ;
  control.relseg_size = RELSEG_SIZE;
  control.xlog_blcksz = XLOG_BLCKSZ;
  control.xlog_seg_size = DEFAULT_XLOG_SEG_SIZE;
  control.nameDataLen = NAMEDATALEN;
  control.indexMaxKeys = INDEX_MAX_KEYS;
  control.toast_max_chunk_size = TOAST_MAX_CHUNK_SIZE;
  control.loblksize = LOBLKSIZE;
  control.float8ByVal = FLOAT8PASSBYVAL;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&control);
  control.crc = Crc32c(Bytes(bytes, offsetof(ControlFileData, crc)));
  return std::string(reinterpret_cast<const char*>(&control), sizeof(control));
}

std::string VersionFileBytes() { return PG_MAJORVERSION "\n"; }

}  // namespace neon_redo

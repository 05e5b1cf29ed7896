// The file pg_filenode.map of a database's directory and of "global": which files the catalogs have that are
// found without pg_class (utils/cache/relmapper.c).
#ifndef NEON_REDO_PG_RELATION_MAP_H_
#define NEON_REDO_PG_RELATION_MAP_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cpp_core/pg/version.h"
#include "neon_redo/error.h"

namespace neon_redo::pg {

// "base/5/pg_filenode.map"; of the global tablespace "global/pg_filenode.map".
std::string RelationMapPath(const Version& version, uint32_t tablespace, uint32_t database);

// OID to file node.
using RelationMap = std::map<uint32_t, uint32_t>;
// The content has at least Version::relation_map_size bytes. kCorrupt: another number at its begin, or a
// checksum that does not fit. Thread-safe.
Result<RelationMap> ParseRelationMap(const Version& version, std::string_view content);

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_RELATION_MAP_H_

// Names of files in a data directory (common/relpath.c, storage/file/reinit.c).
#ifndef NEON_REDO_PG_PATHS_H_
#define NEON_REDO_PG_PATHS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpp_core/pg/version.h"
#include "neon_redo/block.h"

namespace neon_redo::pg {

// OIDs of the tablespaces that every cluster has (catalog/pg_tablespace.dat).
inline constexpr uint32_t kDefaultTablespace = 1663;
inline constexpr uint32_t kGlobalTablespace = 1664;

inline constexpr uint32_t kBlocksPerFile = 131072;  // RELSEG_SIZE of every packaged build: 1 GB

// The directory with the links of tablespaces, by OID.
inline constexpr std::string_view kTablespaceLinks = "pg_tblspc/";

// The directory of a tablespace's databases below the data directory: "base",
// "pg_tblspc/16400/<Version::tablespace_directory>". Of the global tablespace: "global", with the
// relations in it.
std::string TablespacePath(const Version& version, uint32_t tablespace);
// The directory of a database in a tablespace, "base/5".
std::string DatabasePath(const Version& version, uint32_t tablespace, uint32_t database);
// The first file of a fork, "base/5/16384_vm" (GetRelationPath).
std::string RelationPath(const Version& version, const RelFileNode& rel, uint8_t fork);
// The file that has the block, "base/5/16384_vm.1".
std::string BlockFilePath(const Version& version, const BlockTag& tag);

// Whether a path below the data directory, with its directory, is of what WAL changes: relations and
// their maps, SLRUs, prepared transactions. Without these files the cluster has lost data.
bool HoldsData(std::string_view path);
// The directories of these, which every cluster has: "base", "pg_multixact/members".
std::vector<std::string> NeededDirectories();

// The file with the state of a prepared transaction, "pg_twophase/0000030A"; from 17 on
// "pg_twophase/000000000000030A" (TwoPhaseFilePath and AdjustToFullTransactionId in
// access/transam/twophase.c). next_full_xid: any that was current while it was prepared, or later by
// less than 2^31.
inline constexpr const char* kTwoPhaseDirectory = "pg_twophase";
std::string TwoPhasePath(const Version& version, uint32_t xid, uint64_t next_full_xid);
// The transaction of a file with this name in the directory. Nothing: no such file's name.
std::optional<uint32_t> ParseTwoPhaseName(const Version& version, std::string_view name);

// The first block of a relation's file: "base/5/16384_vm.1". Nothing: the path is none of a relation, or
// of a temporary one.
std::optional<BlockTag> ParseRelationPath(const Version& version, std::string_view path);
// Tablespace and database of a database's directory, "base/5"; of "global" 1664 and 0.
std::optional<std::pair<uint32_t, uint32_t>> ParseDatabasePath(const Version& version,
                                                               std::string_view path);

// What the name of a relation's file says: "16384", "16384_vm", "16384.1", "16384_vm.1".
struct RelationFileName {
  uint32_t rel;
  uint8_t fork;
  uint32_t segment;
};
// Nothing for any other name, and for files of temporary relations
// (parse_filename_for_nontemp_relation).
std::optional<RelationFileName> ParseRelationFileName(std::string_view name);

// A number of a file's name: decimal, without leading zeroes, not 0.
std::optional<uint32_t> ParseOid(std::string_view text);

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_PATHS_H_

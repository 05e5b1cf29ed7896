// Files of a data directory or a base backup that somebody else may have made: opened only when
// they are what such a directory holds.
#ifndef NEON_REDO_PG_CLUSTER_FILE_H_
#define NEON_REDO_PG_CLUSTER_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cpp_core/base/files.h"
#include "neon_redo/error.h"

namespace neon_redo::pg {

// Opens a file for reading. `name` is relative to the directory: "base/5/16384". On the way no
// symbolic link is followed except those of tablespaces, in pg_tblspc: any other link would lead a
// reader to a file that is no part of the cluster. A FIFO or a device is refused and not waited
// for. kNotFound: there is no such file. kInvalidArgument: a link, or not a regular file. Other
// codes are those of the operating system.
Result<FileDescriptor> OpenClusterFile(const std::string& directory, std::string_view name);

// The whole of such a file. kCorrupt: it has more than `limit` bytes.
Result<std::string> ReadClusterFile(const std::string& directory, std::string_view name,
                                    size_t limit);

// The links of tablespaces that are followed: their targets by OID.
std::map<uint32_t, std::string> TablespaceLinks(const std::string& directory);

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_CLUSTER_FILE_H_

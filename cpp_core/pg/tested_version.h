// Versions that this program was not tested with: no server of them was there (16), or they are not
// released (19). Whoever finds out which version data are of, checks it here before the data are read.
#ifndef NEON_REDO_PG_TESTED_VERSION_H_
#define NEON_REDO_PG_TESTED_VERSION_H_

#include <string>

#include "cpp_core/pg/version.h"
#include "neon_redo/error.h"

namespace neon_redo::pg {

// what: the data, "the WAL in \"/archive\"". kUnsupported: the version is not tested, and nobody has
// called AllowUntestedVersions (neon_redo/version.h). Thread-safe.
Status CheckTested(const Version& version, const std::string& what);

// The same for what is not done for a version that is not complete (Version::is_complete).
Status CheckComplete(const Version& version, const std::string& what);

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_TESTED_VERSION_H_

// LSNs in the form of a version's programs.
#ifndef NEON_REDO_DESCRIBE_LSN_TEXT_H_
#define NEON_REDO_DESCRIBE_LSN_TEXT_H_

#include <string>

#include "cpp_core/pg/version.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// "1/5000F8", since 19 "1/005000F8".
std::string LsnText(const pg::Version& version, Lsn lsn);

}  // namespace neon_redo

#endif  // NEON_REDO_DESCRIBE_LSN_TEXT_H_

// The versions whose formats the tests write: 15, where nothing else is said.
#ifndef NEON_REDO_TESTS_UNIT_VERSION_15_H_
#define NEON_REDO_TESTS_UNIT_VERSION_15_H_

#include "cpp_core/pg/version.h"

namespace neon_redo {

inline constexpr const pg::Version& kPg15 = *pg::FindVersionByMajor(15);
inline constexpr const pg::Version& kPg17 = *pg::FindVersionByMajor(17);
inline constexpr const pg::Version& kPg18 = *pg::FindVersionByMajor(18);
inline constexpr const pg::Version& kPg19 = *pg::FindVersionByMajor(19);

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_VERSION_15_H_

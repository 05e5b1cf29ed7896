// What the files pg_*_layout_check.cpp share. Nothing of them runs: what does not agree with the
// headers of the installed server does not compile. PG_CONFIG=... picks another server's headers.
//
// To be included after the server's headers, which must come first.
#ifndef NEON_REDO_TESTS_UNIT_PG_LAYOUT_CHECK_H_
#define NEON_REDO_TESTS_UNIT_PG_LAYOUT_CHECK_H_

// port.h makes macros of what the standard library declares.
#undef printf
#undef snprintf
#undef vsnprintf
#undef sprintf
#undef vsprintf
#undef fprintf
#undef vfprintf
#undef vprintf
#undef strerror
#undef strerror_r

#include "cpp_core/pg/version.h"

namespace neon_redo {

// The row of the server's version.
inline constexpr const pg::Version& kServer = *pg::FindVersionByMajor(PG_VERSION_NUM / 10000);

}  // namespace neon_redo

#define SAME(ours, theirs) static_assert((ours) == (theirs))
#define SAME_FIELD(ours, our_field, theirs, their_field)          \
  SAME(offsetof(ours, our_field), offsetof(theirs, their_field)); \
  SAME(sizeof(static_cast<ours*>(nullptr)->our_field),            \
       sizeof(static_cast<theirs*>(nullptr)->their_field))

#endif  // NEON_REDO_TESTS_UNIT_PG_LAYOUT_CHECK_H_

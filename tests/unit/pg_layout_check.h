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

// What PostgreSQL 16 renamed.
#if PG_VERSION_NUM >= 160000
#define SERVER_REL_TYPE RelFileLocator
#define SERVER_REL_FIELD rlocator
#define SERVER_HAS_RELATIONS XACT_XINFO_HAS_RELFILELOCATORS
#define SERVER_MIN_SIZE_OF_RELATIONS MinSizeOfXactRelfileLocators
#else
#define SERVER_REL_TYPE RelFileNode
#define SERVER_REL_FIELD rnode
#define SERVER_HAS_RELATIONS XACT_XINFO_HAS_RELFILENODES
#define SERVER_MIN_SIZE_OF_RELATIONS MinSizeOfXactRelfilenodes
#endif

#define SAME(ours, theirs) static_assert((ours) == (theirs))
#define SAME_FIELD(ours, our_field, theirs, their_field)          \
  SAME(offsetof(ours, our_field), offsetof(theirs, their_field)); \
  SAME(sizeof(static_cast<ours*>(nullptr)->our_field),            \
       sizeof(static_cast<theirs*>(nullptr)->their_field))

#endif  // NEON_REDO_TESTS_UNIT_PG_LAYOUT_CHECK_H_

// The version of the library, and the PostgreSQL versions that it supports.
//
// The macros are the version of the headers, for the preprocessor. LibraryVersion() is the version
// of the library that the program was linked with. The two differ when a program was built with the
// headers of one version and linked with another, which does not work.
//
//   #if NEON_REDO_VERSION_NUMBER >= 10100
#ifndef NEON_REDO_VERSION_H_
#define NEON_REDO_VERSION_H_

#define NEON_REDO_VERSION_MAJOR 1
#define NEON_REDO_VERSION_MINOR 1
#define NEON_REDO_VERSION_PATCH 0

// 10100 for 1.1.0: to be compared.
#define NEON_REDO_VERSION_NUMBER \
  (NEON_REDO_VERSION_MAJOR * 10000 + NEON_REDO_VERSION_MINOR * 100 + NEON_REDO_VERSION_PATCH)

namespace neon_redo {

// "1.1". The string is static. Thread-safe.
const char* LibraryVersion();

// As NEON_REDO_VERSION_NUMBER. Thread-safe.
int LibraryVersionNumber();

// What the library knows of one major version of PostgreSQL. Such an object lives as long as the
// program. WalReader::version() has that of the WAL; a program only passes it on.
namespace pg {
struct Version;
}

// The version of this number, 15. Null: it is not supported. Thread-safe.
const pg::Version* FindServerVersion(int major);

// From here on data of versions are read, too, that the library was not tested with and therefore
// refuses else: 16. Holds for the whole process. Thread-safe.
void AllowUntestedVersions();

// The number of the version. Thread-safe.
int MajorVersion(const pg::Version& version);

}  // namespace neon_redo

#endif  // NEON_REDO_VERSION_H_

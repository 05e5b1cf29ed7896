// Which server and which neon.so serve a major version. Both files say it themselves, so a server
// or a module of another version is refused before anything is started.
#ifndef NEON_REDO_REDO_WORKER_SERVER_FILES_H_
#define NEON_REDO_REDO_WORKER_SERVER_FILES_H_

#include <string>
#include <vector>

#include "cpp_core/pg/version.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The paths of a list with ':' between them, without empty ones.
std::vector<std::string> SplitPaths(const std::string& list);

// The major version that the program "postgres" is of, from the text that its --version prints; 0:
// there is no such file, or it does not say. Files are read once in a process. Thread-safe.
int MajorOfServer(const std::string& program);

// The same of neon.so (kModuleText in src/neon.cpp).
int MajorOfModule(const std::string& module);

// Where packages and `make install` put the programs of a server of this version: the bindir of the
// pg_config that this library was built with, if it is of that version, and the places of Debian,
// of the RPMs of postgresql.org, of other systems and of PostgreSQL's own `make install`.
std::vector<std::string> UsualBindirs(const pg::Version& version);

// The directory of the server's programs: of the directories in `bindirs`, separated by ':', that
// with a server of this version. Without any, the one that a module of this version in `modules` was
// built for, or a usual one, whichever has such a server.
// kNotFound: there is none. kInvalidArgument: two of `bindirs` are of this version.
Result<std::string> FindBindir(const std::string& bindirs, const std::string& modules,
                               const pg::Version& version);

// The path of neon.so for this version, from the files in `modules`, separated by ':'. Without any,
// the module that is installed in the server of that bindir; empty: there is none that we know of,
// and the server may find one. kNotFound: one of `modules` is no file, or none is of this version.
// kInvalidArgument: two of `modules` are.
Result<std::string> FindModule(const std::string& modules, const pg::Version& version,
                               const std::string& bindir);

// For a program that has no WAL to go by: the version that the first of the modules, else of the
// servers, is of; null: they do not say, or there are none. kUnsupported: it is of one that is not
// served (pg/tested_version.h).
Result<const pg::Version*> VersionOfFiles(const std::string& bindirs, const std::string& modules);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_SERVER_FILES_H_

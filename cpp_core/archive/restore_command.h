// A command that brings a file of an archive, with the meaning of PostgreSQL's restore_command.
#ifndef NEON_REDO_ARCHIVE_RESTORE_COMMAND_H_
#define NEON_REDO_ARCHIVE_RESTORE_COMMAND_H_

#include <sys/types.h>

#include <functional>
#include <string>

#include "neon_redo/error.h"

namespace neon_redo {

// The shell command for one file: %f is its name, %p the path to copy it to, %% a percent sign. %r,
// the oldest file to keep, is a name before all others, so that nothing may be removed
// (BuildRestoreCommand in common/archive.c, RestoreArchivedFile in access/transam/xlogarchive.c).
// kInvalidArgument: another letter follows a percent sign, as in PostgreSQL 16 and later, or none.
Result<std::string> ExpandRestoreCommand(const std::string& command, const std::string& name,
                                         const std::string& path);

enum class Restored {
  kFetched,   // status 0
  kNotThere,  // a status from 1 to 125: the archive has no such file
};

// Runs the command and waits for its end, however long that takes. It gets no input; what it prints
// goes to standard error. It is in a session of its own, without a terminal: started(pid) is called
// with its leader, and with 0 once that has ended, before another process can have its id. Thread-safe.
// kIo: a signal killed it, or its status is above 125 (the shell could not run it): nobody knows
// whether the archive has the file. kOutOfMemory, kTooManyOpenFiles: it cannot be started.
Result<Restored> RunRestoreCommand(const std::string& command, const std::string& name,
                                   const std::string& path,
                                   const std::function<void(pid_t)>& started);

// Starts /bin/sh -c SCRIPT sh ARGUMENT in a session of its own; an ARGUMENT that is empty is left out.
// Its standard input is `input`; its output and its errors go to `output`. The process id.
Result<pid_t> StartShell(const std::string& script, const std::string& argument, int input,
                         int output);

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_RESTORE_COMMAND_H_

// A restore that turns a base backup itself into the data directory. All that is to be done is written down first, and
// flushed. Until then the backup is as it was; from then on the next call ends the work.
#ifndef NEON_REDO_RESTORE_IN_PLACE_H_
#define NEON_REDO_RESTORE_IN_PLACE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/restore/change_log.h"
#include "neon_redo/error.h"

namespace neon_redo {

// In the backup's directory.
inline constexpr const char* kChangesDirectory = "neon_redo.changes";

// Locked as long as it is open: for all of these. kInvalidArgument: another restore has it.
Result<FileDescriptor> LockInPlace(const std::string& backup);

// The log of a new attempt. What an attempt has left that was not complete is removed. Nothing else is touched.
Result<std::unique_ptr<LoggedDirectory>> BeginInPlace(const std::string& backup);

// The log has ended. control: the content of pg_control; target: what the restore is to, for later attempts.
Status CommitInPlace(const LoggedDirectory& log, std::string_view control, std::string_view target);

// There is a log that was committed: to this target.
Result<std::optional<std::string>> CommittedTarget(const std::string& backup);

// Removes what a restore has left that was killed when all was done: no log is committed, and the label that a base
// backup has is gone. Says whether there was any.
Result<bool> RemoveRest(const std::string& backup);

// Does what a committed log says, and removes it. No server starts on the directory meanwhile. kInvalidArgument: one
// runs on it already.
Status FinishInPlace(const std::string& backup, int jobs, bool syncs);

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_IN_PLACE_H_

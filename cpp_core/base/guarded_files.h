// Small files that somebody else may have put there: read once, by one descriptor, and only when
// they are what they should be.
#ifndef NEON_REDO_BASE_GUARDED_FILES_H_
#define NEON_REDO_BASE_GUARDED_FILES_H_

#include <cstddef>
#include <string>

#include "cpp_core/base/files.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The rest of an open file, which `path` names in errors. kInvalidArgument: it is larger than
// `limit` bytes.
Result<std::string> ReadAll(const FileDescriptor& fd, const std::string& path, size_t limit);

// What becomes of a symbolic link at a file's own name. Links on the way to it are followed.
enum class Links { kFollow, kRefuse };

// Whether it is a directory. Only a name that is not there, and something else there, is no. Errors:
// it could not be looked at, or it is a link that is followed and leads nowhere: what that should have
// is not known.
Result<bool> IsDirectory(const std::string& path, Links links);

// Opens a regular file for reading. A FIFO or a device is refused and not waited for. kNotFound:
// there is no such file. kInvalidArgument: it is not regular, or a refused link. kIo,
// kTooManyOpenFiles, kOutOfMemory: the operating system refused.
Result<FileDescriptor> OpenRegularFile(const std::string& path, Links links);

// A whole regular file of at most `limit` bytes. Errors are those of OpenRegularFile.
// kInvalidArgument: it is too large.
Result<std::string> ReadRegularFile(const std::string& path, size_t limit,
                                    Links links = Links::kFollow);

// The same for a file that holds a secret. Owner and mode are those of the descriptor that is read:
// the file is this user's and nobody else may read it, or root's and at most its group may read it
// (check_ssl_key_file_permissions in libpq/be-secure-common.c). `what` begins the message of a
// refusal, as in "users file". kInvalidArgument also for another's file.
Result<std::string> ReadSecretFile(const std::string& path, const char* what, size_t limit);
// The same for a file that is open already; `path` names it in errors.
Result<std::string> ReadSecret(const FileDescriptor& fd, const std::string& path, const char* what,
                               size_t limit);

// Writes a file that holds what a database holds: of mode 0600, and no link, neither symbolic nor
// hard, to another. A file that is there must be this user's own; it is overwritten, and gets the
// mode. A device is written to as it is. kInvalidArgument: something else has the name.
Status WritePrivateFile(const std::string& path, Bytes content);

// Overwrites the characters, so that a secret does not stay in freed memory.
void WipeSecret(std::string* secret);

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_GUARDED_FILES_H_

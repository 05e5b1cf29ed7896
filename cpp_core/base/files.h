// Files whose content must be on disk before the caller reports it.
#ifndef NEON_REDO_BASE_FILES_H_
#define NEON_REDO_BASE_FILES_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "cpp_core/base/file_descriptor.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The functions below are thread-safe. Their errors have the code of errno (ErrnoCode); path is for
// the message where there is a descriptor, too.

// "could not VERB "PATH": REASON", with the reason of errno: FileError("write file", path).
tl::unexpected<Error> FileError(const char* verb, const std::string& path);

// The process or the machine is short of open files or memory, which says nothing about the file.
constexpr bool IsShortage(ErrorCode code) {
  return code == ErrorCode::kOutOfMemory || code == ErrorCode::kTooManyOpenFiles;
}

// What something is that is no regular file: "a FIFO".
const char* FileKindName(const struct stat& st);

// Reads until n bytes or the end of the file; the number read, or -1 (errno).
ssize_t ReadFully(int fd, uint8_t* out, size_t n, uint64_t offset);
// Writes all of the bytes at that offset of the file.
Status WriteAll(int fd, Bytes bytes, uint64_t offset, const std::string& path);
// Flushes the file's data to disk.
Status SyncFile(int fd, const std::string& path);

// Where temporary files go: $TMPDIR, or /tmp.
std::string TemporaryDirectory();
// A new empty file without a name in the directory, to be read and written. Its space is free again
// when it is closed, however the process ends.
Result<FileDescriptor> CreateNamelessFile(const std::string& directory);

// "/a/b" without slashes at its end.
std::string WithoutSlash(std::string path);
// A path's directory ("." or "/" where none is named) and the name in it.
struct SplitPath {
  explicit SplitPath(const std::string& path);
  std::string parent;
  std::string name;
};

// Writes PATH.tmp, flushes it, renames it to PATH and flushes the directory. After an error PATH.tmp
// is removed, and PATH is what it was; but if the directory could not be flushed, PATH is the new
// file, which a crash may undo.
Status WriteFileDurably(const std::string& path, Bytes content);

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_FILES_H_

// Files whose content must be on disk before anybody is told so.
#ifndef NEON_REDO_BASE_FILES_H_
#define NEON_REDO_BASE_FILES_H_

#include <string>
#include <utility>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Owns a file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  ~FileDescriptor() { Reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  void Reset(int fd = -1);
  int get() const { return fd_; }

 private:
  int fd_;
};

// "could not VERB file "PATH": REASON", with the reason of errno.
tl::unexpected<Error> FileError(const char* verb, const std::string& path);

Status WriteAll(int fd, Bytes bytes, uint64_t offset, const std::string& path);
Status SyncFile(int fd, const std::string& path);
Status SyncDirectory(const std::string& path);

// Writes PATH.tmp, flushes it, renames it to PATH and flushes the directory.
Status WriteFileDurably(const std::string& path, Bytes content);

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_FILES_H_

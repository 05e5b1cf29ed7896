// An owned file descriptor.
#ifndef NEON_REDO_BASE_FILE_DESCRIPTOR_H_
#define NEON_REDO_BASE_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace neon_redo {

// Owns a file descriptor, or none (-1), and closes it. Move-only. Not thread-safe.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  ~FileDescriptor() { Reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }

  // Closes the descriptor and owns this one instead.
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }
  // Gives the descriptor to the caller, who closes it.
  int Release() { return std::exchange(fd_, -1); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_FILE_DESCRIPTOR_H_

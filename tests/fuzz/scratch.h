// A directory in memory for what is read from files only. Made once a process, removed at its end.
#ifndef NEON_REDO_TESTS_FUZZ_SCRATCH_H_
#define NEON_REDO_TESTS_FUZZ_SCRATCH_H_

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

inline const std::string& ScratchDirectory() {
  struct Directory {
    std::string path = "/dev/shm/neon_redo_fuzz.XXXXXX";
    Directory() {
      if (mkdtemp(path.data()) == nullptr) std::abort();
      std::filesystem::create_directory(path + "/global");
    }
    ~Directory() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Directory directory;
  return directory.path;
}

// A file in it that goes with the object. length: 0, or zeroes are added up to it.
class ScratchFile {
 public:
  ScratchFile(const std::string& name, const uint8_t* data, size_t size, off_t length = 0)
      : path_(ScratchDirectory() + "/" + name) {
    const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != static_cast<ssize_t>(size)) std::abort();
    if (length != 0 && ftruncate(fd, length) != 0) std::abort();
    close(fd);
  }
  ~ScratchFile() { unlink(path_.c_str()); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

 private:
  const std::string path_;
};

#endif  // NEON_REDO_TESTS_FUZZ_SCRATCH_H_

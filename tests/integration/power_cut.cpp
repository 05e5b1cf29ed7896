// Preloaded into a program that keeps files safe, makes its death what a power cut is: bytes reach
// a file only when the file is flushed, and a new name only when its directory is. Until then they
// are in this process alone, and a kill -9 loses them. (A real power cut may also keep some of
// them; the program's own kill -9 without this shows that.)
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

template <typename F>
F Real(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

struct Pending {
  std::mutex mutex;
  std::map<int, std::vector<std::pair<off_t, std::string>>> writes;  // by file descriptor
  struct Rename {
    int from_directory;
    std::string from;
    int to_directory;
    std::string to;
  };
  std::vector<Rename> renames;
};

Pending& Unsafe() {
  static auto* const pending = new Pending;
  return *pending;
}

int WriteOut(int fd) {
  static const auto real_pwrite = Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  Pending& pending = Unsafe();
  const std::lock_guard lock(pending.mutex);
  for (const auto& [offset, bytes] : pending.writes[fd]) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = real_pwrite(fd, bytes.data() + done, bytes.size() - done,
                                    offset + static_cast<off_t>(done));
      if (n <= 0) return -1;
      done += static_cast<size_t>(n);
    }
  }
  pending.writes.erase(fd);
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode)) return 0;
  static const auto real_renameat = Real<int (*)(int, const char*, int, const char*)>("renameat");
  for (const Pending::Rename& r : pending.renames)
    if (real_renameat(r.from_directory, r.from.c_str(), r.to_directory, r.to.c_str()) != 0)
      return -1;
  pending.renames.clear();
  return 0;
}

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* bytes, size_t length, off_t offset) {
  Pending& pending = Unsafe();
  const std::lock_guard lock(pending.mutex);
  pending.writes[fd].emplace_back(offset, std::string(static_cast<const char*>(bytes), length));
  return static_cast<ssize_t>(length);
}

ssize_t pwrite64(int fd, const void* bytes, size_t length, off_t offset) {
  return pwrite(fd, bytes, length, offset);
}

int renameat(int from_directory, const char* from, int to_directory, const char* to) {
  Pending& pending = Unsafe();
  const std::lock_guard lock(pending.mutex);
  pending.renames.push_back({from_directory, from, to_directory, to});
  return 0;
}

int rename(const char* from, const char* to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  return WriteOut(fd) == 0 ? real(fd) : -1;
}

int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  return WriteOut(fd) == 0 ? real(fd) : -1;
}

int close(int fd) {
  static const auto real = Real<int (*)(int)>("close");
  Pending& pending = Unsafe();
  {
    const std::lock_guard lock(pending.mutex);
    pending.writes.erase(fd);
  }
  return real(fd);
}
}

// What a manager must not leave behind.
#ifndef NEON_REDO_TESTS_UNIT_FOOTPRINT_H_
#define NEON_REDO_TESTS_UNIT_FOOTPRINT_H_

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

namespace neon_redo::testing {

inline int CountEntries(const char* path) {
  int count = 0;
  DIR* directory = opendir(path);
  while (directory != nullptr && readdir(directory) != nullptr) ++count;
  if (directory != nullptr) closedir(directory);
  return count;
}

// Of shared memory, whatever its kind, in a process whose /proc/PID/maps this is; -1: not readable.
inline int CountSharedMappings(const std::string& maps) {
  std::ifstream in(maps);
  int count = in ? 0 : -1;
  for (std::string addresses, permissions, rest;
       in >> addresses >> permissions && std::getline(in, rest);)
    count += permissions.back() == 's';
  return count;
}

struct Footprint {
  int descriptors = CountEntries("/proc/self/fd");
  int threads = CountEntries("/proc/self/task");
  int shared_mappings = CountSharedMappings("/proc/self/maps");
  bool operator==(const Footprint&) const = default;
};

// A joined thread may be listed a moment longer: the kernel wakes who joins before it removes it.
inline Footprint FootprintLike(const Footprint& expected) {
  Footprint now;
  for (int i = 0; i < 1000 && now != expected; ++i) {
    usleep(1000);
    now = Footprint();
  }
  return now;
}

inline bool HaveChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

}  // namespace neon_redo::testing

#endif  // NEON_REDO_TESTS_UNIT_FOOTPRINT_H_

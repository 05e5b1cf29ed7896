// The home directory of a redo worker: the least that `postgres --single` accepts as a data
// directory up to the point where neon.so takes over (_PG_init), written without initdb:
// PG_VERSION, an empty postgresql.conf, global/pg_control.
//
// The worker needs it only while it starts: once in its sandbox it opens no file. So a home lives
// from just before the launch to the worker's first answer, and a program killed at any other
// moment leaves no home. One home serves one worker at a time: the server writes a
// postmaster.pid into it and refuses a second server (CreateDataDirLockFile, even in --single
// mode).
#ifndef NEON_REDO_REDO_WORKER_HOME_H_
#define NEON_REDO_REDO_WORKER_HOME_H_

#include <sys/types.h>

#include <string>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The user that the worker runs as.
struct HomeOwner {
  uid_t uid;
  gid_t gid;
};

// Movable, not copyable. Not thread-safe; distinct homes are independent.
class WorkerHome {
 public:
  // A new directory with a unique name in $TMPDIR, else /dev/shm (memory: creating it there costs a
  // tenth), else /tmp; mode 0700, owned by owner. The first call in a process also removes homes
  // that dead processes left there: a living home is locked (flock) by its creator. version: of the
  // server that will use it.
  static Result<WorkerHome> Create(HomeOwner owner, const pg::Version& version);

  ~WorkerHome();  // removes the directory
  WorkerHome(WorkerHome&&) noexcept = default;
  WorkerHome& operator=(WorkerHome&&) = delete;

  const std::string& path() const { return path_; }

 private:
  WorkerHome(std::string path, FileDescriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  FileDescriptor lock_;  // of the directory; none: another object has it now
};

// Removes the homes in directory that are this user's or owner's and that no living process has
// locked. Returns how many.
int RemoveStaleHomes(const std::string& directory, uid_t owner);

// Where Create puts homes.
std::string HomeParentDirectory();

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_HOME_H_

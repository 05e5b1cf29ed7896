// Files that a restore command brings, in a directory that keeps only a few of them.
#ifndef NEON_REDO_ARCHIVE_RESTORE_SPOOL_H_
#define NEON_REDO_ARCHIVE_RESTORE_SPOOL_H_

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cpp_core/base/file_descriptor.h"
#include "neon_redo/error.h"

namespace neon_redo {

// A file in the spool. It is removed with the object.
class SpooledFile {
 public:
  explicit SpooledFile(std::string path) : path_(std::move(path)) {}
  ~SpooledFile();
  SpooledFile(const SpooledFile&) = delete;
  SpooledFile& operator=(const SpooledFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// kCorrupt: the command did not decompress this file.
tl::unexpected<Error> CompressedByCommand(const std::string& name);

// Runs the command on a thread of its own, for one file at a time, and for files ahead of the reader
// while that reads. The spool keeps the last kMostFiles files, or kMostLargeFiles if they must have
// more than 64 MB, besides those that readers hold.
//
// The directory is a new one in $TMPDIR or /tmp. A shell that waits for the end of this process, in
// whatever way it ends, then ends a command that is running, and removes the directory. The end of the
// object ends a command that is running, too; one that ignores SIGTERM has a second.
//
// Thread-safe.
class RestoreSpool {
 public:
  static constexpr size_t kMostFiles = 6;
  static constexpr size_t kMostLargeFiles = 3;

  // kInvalidArgument: ExpandRestoreCommand refuses the command, or the path of the directory would
  // have to be quoted in it. kIo: the directory cannot be made.
  static Result<std::shared_ptr<RestoreSpool>> Open(const std::string& command);
  ~RestoreSpool();
  RestoreSpool(const RestoreSpool&) = delete;
  RestoreSpool& operator=(const RestoreSpool&) = delete;

  // The file of this name, and begins to fetch those ahead of it, until the first that is not there.
  // Null: the archive has no such file. size: that it must have; 0: any.
  // kCorrupt: it has another size, or is no regular file. kIo: the command failed, or said that it
  // brought the file, and did not. Errors are not kept: the next call runs the command again.
  Result<std::shared_ptr<const SpooledFile>> Fetch(const std::string& name, uint64_t size,
                                                   const std::vector<std::string>& ahead = {});

  // The content of a timeline's history file; nothing: there is none. Asked for once only.
  Result<std::optional<std::string>> ReadHistory(uint32_t timeline);

  const std::string& command() const { return command_; }
  const std::string& directory() const { return directory_; }

 private:
  using File = std::shared_ptr<const SpooledFile>;
  // A file that was asked for.
  struct Entry {
    uint64_t size;
    uint64_t last_use;                   // the larger, the later
    int waiting = 0;                     // who waits in Fetch
    std::optional<Result<File>> file{};  // once the command has ended
  };

  explicit RestoreSpool(std::string command) : command_(std::move(command)) {}
  Status Begin();
  Result<File> Run(const std::string& name, uint64_t size, uint64_t serial);
  void Work();
  void Enqueue(const std::string& name, uint64_t size, bool is_wanted_now);
  void DropAhead();
  void DropOld(size_t most);

  const std::string command_;
  std::string directory_;
  FileDescriptor keeper_;  // to the shell's standard input: sessions, a line each
  pid_t keeper_pid_ = 0;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::map<std::string, Entry> entries_;
  std::deque<std::string> queue_;  // of entries without a file, the next first
  std::map<uint32_t, std::optional<std::string>> histories_;
  uint64_t uses_ = 0;
  pid_t running_ = 0;
  bool is_ending_ = false;
  bool has_ended_ = false;  // the thread's work
  std::thread thread_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_RESTORE_SPOOL_H_

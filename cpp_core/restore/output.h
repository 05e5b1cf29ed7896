// The directory that a restore writes into, and the tablespaces that its links lead to.
#ifndef NEON_REDO_RESTORE_OUTPUT_H_
#define NEON_REDO_RESTORE_OUTPUT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/verify/relation_files.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Lies in the directory, and in each tablespace's, as long as the restore is not complete.
inline constexpr const char* kRestoringFile = "neon_redo.restoring";

// A file to be written to, in any order. Not thread-safe.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  virtual Status Write(uint64_t offset, Bytes bytes) = 0;
};

// Names are relative to the directory. Thread-safe.
class OutputDirectory {
 public:
  explicit OutputDirectory(std::string path) : path_(std::move(path)) {}
  virtual ~OutputDirectory() = default;

  const std::string& path() const { return path_; }
  std::string PathOf(std::string_view name) const;

  // Of a directory that shall be written into. kInvalidArgument: something is there that is no rest of an
  // incomplete restore. Writes nothing.
  static Status CheckFree(const std::string& path);
  // Makes it, or empties it of what an incomplete restore has left, and marks it. The mark is locked as long as it is
  // open: kInvalidArgument also if another restore has it.
  static Result<FileDescriptor> Begin(const std::string& path);

  // Of a directory whose files are to be compared with a backup's: that it is free, or holds a cluster with this
  // system identifier that no server runs on.
  static Status CheckDelta(const std::string& path, uint64_t system_identifier);
  // kInvalidArgument: a server runs on the directory, as far as its files say.
  static Status CheckNoServer(const std::string& path);
  // CheckDelta once more. Marks it, and leaves what is there but for global/pg_control, without which no server starts.
  static Result<FileDescriptor> BeginDelta(const std::string& path, uint64_t system_identifier);

  // To be read and written. It is made if it is not there, and so is the directory right above it.
  Result<FileDescriptor> OpenFile(std::string_view name) const;
  // The same to be written only.
  virtual Result<std::unique_ptr<OutputFile>> Open(std::string_view name) const;
  // It may be there already.
  virtual Status MakeDirectory(std::string_view name) const;
  virtual Status MakeLink(std::string_view name, const std::string& target) const;
  // It may be gone already. A directory goes with all that is in it; of a link, the link alone.
  virtual Status Remove(std::string_view name) const;
  // Instead of what is there.
  virtual Status WriteFile(std::string_view name, std::string_view content) const;

  // Of a fork: cuts off the blocks from `blocks` on, if there are any. 0: all its files go.
  virtual Status CutFork(const pg::Version& version, const BlockTag& fork, uint32_t blocks) const;
  // Fills files before the last with zeroes to their full size, which the last has by being written.
  virtual Status FillFork(const pg::Version& version, const BlockTag& fork, uint32_t blocks) const;

  // All files in the directory and below the links of tablespaces, in order.
  Result<std::vector<std::string>> Names() const;

  // If this process is root: all belongs to whom the directory belongs to.
  Status GiveToOwner() const;
  // Flushes the entries of one directory.
  Status SyncDirectory(std::string_view name) const;
  // Flushes all that is in the directory and below the links of tablespaces.
  Status Sync(int jobs) const;
  // The marks are gone, and the name stands in the place of `temporary`: the last step.
  Status Complete(const std::vector<std::string>& tablespaces, std::string_view temporary,
                  std::string_view name, bool syncs) const;

 private:
  std::string path_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_OUTPUT_H_

// What a restore in place will do to a directory, in a file: written while the directory is as it was, and done once
// the file is complete. To do it twice, or to begin again after half of it, gives the same.
#ifndef NEON_REDO_RESTORE_CHANGE_LOG_H_
#define NEON_REDO_RESTORE_CHANGE_LOG_H_

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/restore/output.h"
#include "neon_redo/error.h"

namespace neon_redo {

// A directory that stays as it is: what is done to it goes to the log. Thread-safe.
class LoggedDirectory : public OutputDirectory {
 public:
  // log: the log's path; a file that is there is replaced.
  static Result<std::unique_ptr<LoggedDirectory>> Make(const std::string& path,
                                                       const std::string& log);

  Result<std::unique_ptr<OutputFile>> Open(std::string_view name) const override;
  Status MakeDirectory(std::string_view name) const override;
  Status MakeLink(std::string_view name, const std::string& target) const override;
  Status Remove(std::string_view name) const override;
  Status WriteFile(std::string_view name, std::string_view content) const override;
  Status CutFork(const pg::Version& version, const BlockTag& fork, uint32_t blocks) const override;
  Status FillFork(const pg::Version& version, const BlockTag& fork, uint32_t blocks) const override;

  // Ends the log, and flushes it.
  Status End() const;

  // Private to the implementation.
  Status Append(char what, std::string_view name, uint64_t number, Bytes bytes) const;

 private:
  LoggedDirectory(const std::string& path, std::string log, FileDescriptor fd)
      : OutputDirectory(path), log_(std::move(log)), fd_(std::move(fd)) {}
  Status Flush() const;

  const std::string log_;
  const FileDescriptor fd_;
  mutable std::mutex mutex_;
  mutable std::string buffer_;
  mutable uint64_t written_ = 0;
};

// Does what a complete log says. kCorrupt: it is not complete, or not what End has left; then some of it may be done.
Status ApplyChangeLog(const std::string& log, const pg::Version& version,
                      const OutputDirectory& output);

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_CHANGE_LOG_H_

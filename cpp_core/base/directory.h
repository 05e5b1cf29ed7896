// A directory that files are written into, when somebody else may write into it too.
#ifndef NEON_REDO_BASE_DIRECTORY_H_
#define NEON_REDO_BASE_DIRECTORY_H_

#include <string>
#include <vector>

#include "cpp_core/base/files.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// All names are looked up in the directory that was opened, whatever its path leads to later. No
// symbolic link is followed at a name, and only regular files are opened, to be written only if they
// have no other link: so nobody who can write into the directory can turn a write to a file outside
// it. Thread-safe.
class Directory {
 public:
  // kNotFound: there is no such directory.
  static Result<Directory> Open(const std::string& path);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  std::string PathOf(const std::string& name) const { return path_ + "/" + name; }

  // A file that is there. `flags`: O_RDONLY or O_RDWR. kNotFound: it is not. kInvalidArgument: it
  // is not a regular file, or is to be written and has other links.
  Result<FileDescriptor> OpenFile(const std::string& name, int flags) const;
  // A new empty file of mode 0600, to be read and written. What has the name is removed: a file or
  // a link that an earlier run, or somebody else, left.
  Result<FileDescriptor> CreateFile(const std::string& name) const;
  // The same, but what has the name stays. kInvalidArgument: something has it.
  Result<FileDescriptor> CreateNewFile(const std::string& name) const;
  // The names of its entries in no order, without "." and "..". kIo: they could not all be read.
  Result<std::vector<std::string>> Names() const;
  // Something of that name is there, if only a link.
  bool Has(const std::string& name) const;
  Status Rename(const std::string& from, const std::string& to) const;
  // It may be gone already.
  Status Remove(const std::string& name) const;
  // Flushes the directory's entries.
  Status Sync() const;
  // Writes NAME.tmp, or what else temporary says, flushes it, renames it to NAME and flushes the directory.
  Status WriteFile(const std::string& name, Bytes content) const {
    return WriteFile(name, content, name + ".tmp");
  }
  Status WriteFile(const std::string& name, Bytes content, const std::string& temporary) const;

  // This process is root and the directory is somebody else's, who can therefore replace what is
  // written here. A warning in words; empty: it is not so.
  std::string OwnerWarning() const;

 private:
  Directory(std::string path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  FileDescriptor fd_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_DIRECTORY_H_

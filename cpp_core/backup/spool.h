// A file without a name that holds what was unpacked, so that it can be read in any order.
#ifndef NEON_REDO_BACKUP_SPOOL_H_
#define NEON_REDO_BACKUP_SPOOL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "cpp_core/backup/byte_source.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Its space is free again when the object is gone, however the process ends. Thread-safe.
class Spool {
 public:
  // directory: empty stands for $TMPDIR, or /tmp without it.
  static Result<std::unique_ptr<Spool>> Create(std::string directory);

  // Copies a source that has exactly `size` bytes, and says where they begin. At most one byte more
  // is read from it. kCorrupt: it has more or fewer; `name` is for messages. kIo: the file system has
  // no room for so much.
  Result<uint64_t> Take(ByteSource* source, uint64_t size, const std::string& name);

  const SharedFile& file() const { return file_; }
  uint64_t size() const { return size_; }  // bytes that were taken, or are being taken

 private:
  Spool(SharedFile file, std::string directory, uint64_t room);

  const SharedFile file_;
  const std::string directory_, path_;
  const uint64_t room_;  // that the file system had
  std::atomic<uint64_t> size_{0};
};

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_SPOOL_H_

// Bytes that come from front to back: a part of a file, or what another source holds packed or
// encrypted (unpack.h, decrypt.h).
#ifndef NEON_REDO_BACKUP_BYTE_SOURCE_H_
#define NEON_REDO_BACKUP_BYTE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cpp_core/base/file_descriptor.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

using WritableBytes = std::span<uint8_t>;

// Not thread-safe. After an error it gives no more.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Writes up to out.size() bytes, which is not 0, and says how many. 0: the end.
  virtual Result<size_t> Read(WritableBytes out) = 0;
  // Passes over up to `count` bytes without reading them, and says over how many. A source that
  // cannot passes over none.
  virtual uint64_t Skip(uint64_t count) {
    static_cast<void>(count);
    return 0;
  }
};

// An open file that several readers share.
using SharedFile = std::shared_ptr<const FileDescriptor>;
SharedFile Share(FileDescriptor fd);

// Bytes of a file at an offset, fewer than out.size() only where the file ends. path is for messages.
// Thread-safe.
Result<size_t> ReadFileAt(int fd, uint64_t offset, WritableBytes out, const std::string& path);
// Its size now.
Result<uint64_t> FileSize(int fd, const std::string& path);

// Reads until out is full or the source ends.
Result<size_t> ReadFully(ByteSource* source, WritableBytes out);

// All that is left. kCorrupt: it is more than `limit` bytes; `name` is for that message.
Result<std::string> ReadRest(ByteSource* source, size_t limit, const std::string& name);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_BYTE_SOURCE_H_

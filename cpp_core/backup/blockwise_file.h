// A file of a relation that is put together block by block, of what several backups have of it.
#ifndef NEON_REDO_BACKUP_BLOCKWISE_FILE_H_
#define NEON_REDO_BACKUP_BLOCKWISE_FILE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/base/try.h"
#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

class BlockwiseFile : public BaseFile {
 public:
  Result<uint64_t> Size() const override { return size_; }

  Result<size_t> Read(uint64_t offset, WritableBytes out) const override {
    if (offset >= size_) return 0;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset));
    for (size_t done = 0; done < wanted;) {
      const uint64_t at = offset + done;
      const size_t count =
          std::min(wanted - done, static_cast<size_t>(kBlockSize - at % kBlockSize));
      RETURN_IF_ERROR(ReadInBlock(static_cast<uint32_t>(at / kBlockSize), at % kBlockSize,
                                  out.subspan(done, count)));
      done += count;
    }
    return wanted;
  }

 protected:
  explicit BlockwiseFile(uint32_t blocks) : size_(uint64_t{blocks} * kBlockSize) {}

 private:
  // Fills `out` with what the block has from this offset on. Thread-safe, as Read.
  virtual Status ReadInBlock(uint32_t block, uint64_t offset, WritableBytes out) const = 0;

  const uint64_t size_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_BLOCKWISE_FILE_H_

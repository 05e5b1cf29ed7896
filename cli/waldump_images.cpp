#include "cli/waldump_images.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo::cli {

Result<ImageWriter> ImageWriter::Open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directory(directory, error);
  const bool empty = !error && std::filesystem::is_empty(directory, error);
  if (error)
    return MakeError(ErrorCode::kIo, fmt::format("could not create directory \"{}\": {}", directory,
                                                 error.message()));
  if (!empty)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("directory \"{}\" exists but is not empty", directory));
  return ImageWriter(directory);
}

Status ImageWriter::Write(const RecordView& record, Lsn start, uint32_t timeline) const {
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* b = record.block(id);
    if (b == nullptr || !b->has_image) continue;
    uint8_t page[kBlockSize];
    RETURN_IF_ERROR(RestoreImage(*b, page));
    const RelFileNode& rel = b->tag.rel;
    RETURN_IF_ERROR(
        WritePrivateFile(fmt::format("{}/{:08X}-{:08X}-{:08X}.{}.{}.{}.{}_{}", directory_, timeline,
                                     start.value >> 32, start.value & 0xffffffff, rel.spc, rel.db,
                                     rel.rel, b->tag.block, ForkName(b->tag.fork)),
                         Bytes(page, kBlockSize)));
  }
  return {};
}

}  // namespace neon_redo::cli

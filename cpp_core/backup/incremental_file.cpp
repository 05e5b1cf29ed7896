#include "cpp_core/backup/incremental_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "cpp_core/backup/blockwise_file.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/block.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr uint32_t kMagic = 0xd3ae1f0d;  // INCREMENTAL_MAGIC
constexpr uint64_t kFixedSize = 3 * sizeof(uint32_t);

class IncrementalFile : public BlockwiseFile {
 public:
  explicit IncrementalFile(std::vector<IncrementalSource> sources)
      : BlockwiseFile(sources[0].header.length()), sources_(std::move(sources)) {}

 private:
  Status ReadInBlock(uint32_t block, uint64_t offset, WritableBytes out) const override {
    for (const IncrementalSource& source : sources_) {
      if (source.is_full) return ReadFull(source, block, offset, out);
      const auto& blocks = source.header.blocks;
      const auto found = std::lower_bound(blocks.begin(), blocks.end(), block);
      if (found != blocks.end() && *found == block) {
        const auto number = static_cast<uint64_t>(found - blocks.begin());
        const uint64_t at = source.header.size() + number * kBlockSize + offset;
        ASSIGN_OR_RETURN(const size_t got, source.file->Read(at, out));
        if (got == out.size()) return {};
        return MakeError(ErrorCode::kCorrupt,
                         fmt::format("{} is cut off at byte {}", source.where, at + got));
      }
      // Of what an older backup has, the newest may have cut off the end.
      if (block >= sources_[0].header.truncation) break;
    }
    std::fill(out.begin(), out.end(), 0);
    return {};
  }

  // A block that is there in part is not there.
  static Status ReadFull(const IncrementalSource& source, uint32_t block, uint64_t offset,
                         WritableBytes out) {
    ASSIGN_OR_RETURN(const uint64_t size, source.file->Size());
    std::fill(out.begin(), out.end(), 0);
    if (block >= size / kBlockSize) return {};
    ASSIGN_OR_RETURN(const size_t got,
                     source.file->Read(uint64_t{block} * kBlockSize + offset, out));
    if (got == out.size()) return {};
    return MakeError(ErrorCode::kIo,
                     fmt::format("{} became shorter while it was read", source.where));
  }

  const std::vector<IncrementalSource> sources_;
};

// What is wrong with the numbers; nothing: they can be.
std::optional<std::string> Problem(uint32_t magic, uint32_t count, uint32_t truncation) {
  if (magic != kMagic) return fmt::format("its magic number is {:08x}, not {:08x}", magic, kMagic);
  if (count > pg::kBlocksPerFile)
    return fmt::format("it says that it has {} blocks, more than a file of a relation", count);
  if (truncation > pg::kBlocksPerFile)
    return fmt::format("its truncation length is {} blocks, more than a file of a relation",
                       truncation);
  return std::nullopt;
}

}  // namespace

uint64_t IncrementalHeader::size() const {
  const uint64_t exact = kFixedSize + blocks.size() * sizeof(uint32_t);
  return blocks.empty() ? exact : (exact + kBlockSize - 1) / kBlockSize * kBlockSize;
}

uint32_t IncrementalHeader::length() const {
  return blocks.empty() ? truncation : std::max(truncation, blocks.back() + 1);
}

Result<IncrementalHeader> ReadIncrementalHeader(const BaseFile& file, const std::string& where) {
  const auto corrupt = [&](const std::string& why) {
    return MakeError(ErrorCode::kCorrupt, fmt::format("{} is no incremental file: {}", where, why));
  };
  uint8_t fixed[kFixedSize];
  ASSIGN_OR_RETURN(const size_t got, file.Read(0, fixed));
  if (got != sizeof(fixed)) return corrupt(fmt::format("it is cut off at byte {}", got));
  const auto magic = LoadNative<uint32_t>(fixed), count = LoadNative<uint32_t>(fixed + 4);
  IncrementalHeader header;
  header.truncation = LoadNative<uint32_t>(fixed + 8);
  if (const auto problem = Problem(magic, count, header.truncation)) return corrupt(*problem);
  ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  header.blocks.resize(count);
  const uint64_t expected = header.size() + uint64_t{count} * kBlockSize;
  if (size != expected)
    return corrupt(fmt::format("it has {} bytes, and with its {} blocks should have {}", size,
                               count, expected));
  const WritableBytes numbers(reinterpret_cast<uint8_t*>(header.blocks.data()),
                              count * sizeof(uint32_t));
  ASSIGN_OR_RETURN(const size_t read, file.Read(kFixedSize, numbers));
  if (read != numbers.size()) return corrupt(fmt::format("it is cut off at byte {}", read));
  for (size_t i = 0; i < count; i++)
    if (header.blocks[i] >= pg::kBlocksPerFile ||
        (i > 0 && header.blocks[i] <= header.blocks[i - 1]))
      return corrupt(fmt::format("block number {} at byte {} cannot stand there", header.blocks[i],
                                 kFixedSize + i * sizeof(uint32_t)));
  return header;
}

std::shared_ptr<const BaseFile> MakeIncrementalFile(std::vector<IncrementalSource> sources) {
  return std::make_shared<IncrementalFile>(std::move(sources));
}

}  // namespace neon_redo

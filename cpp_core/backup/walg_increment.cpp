#include "cpp_core/backup/walg_increment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpp_core/backup/blockwise_file.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/block.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr uint8_t kMagic[] = {'w', 'i', '1', 0x55};
constexpr uint64_t kFixedSize = 4 + sizeof(uint64_t) + sizeof(uint32_t);

tl::unexpected<Error> NoIncrement(const std::string& where, const std::string& why) {
  return MakeError(ErrorCode::kCorrupt, fmt::format("{} is no increment: {}", where, why));
}

struct FixedPart {
  uint32_t length = 0;  // blocks of the file
  uint32_t count = 0;   // blocks of the increment
};

Result<FixedPart> ReadFixedPart(const BaseFile& file, const std::string& where) {
  uint8_t fixed[kFixedSize];
  ASSIGN_OR_RETURN(const size_t got, file.Read(0, fixed));
  if (got != sizeof(fixed)) return NoIncrement(where, fmt::format("it is cut off at byte {}", got));
  if (std::memcmp(fixed, kMagic, sizeof(kMagic)) != 0)
    return NoIncrement(where, "it does not begin with \"wi1\"");
  const auto length = LoadNative<uint64_t>(fixed + 4);
  const auto count = LoadNative<uint32_t>(fixed + 12);
  if (length % kBlockSize != 0 || length / kBlockSize > pg::kBlocksPerFile)
    return NoIncrement(
        where,
        fmt::format("it says that the file has {} bytes, which none of a relation has", length));
  if (count > pg::kBlocksPerFile)
    return NoIncrement(
        where, fmt::format("it says that it has {} blocks, more than a file of a relation", count));
  return FixedPart{static_cast<uint32_t>(length / kBlockSize), count};
}

// Of a file that grew while it was backed up, blocks behind its length may be there.
uint32_t LengthOf(const WalgIncrement& increment) {
  return increment.blocks.empty() ? increment.length
                                  : std::max(increment.length, increment.blocks.back() + 1);
}

class WalgFile : public BlockwiseFile {
 public:
  explicit WalgFile(std::vector<WalgSource> sources)
      : BlockwiseFile(LengthOf(sources[0].increment)), sources_(std::move(sources)) {}

 private:
  Status ReadInBlock(uint32_t block, uint64_t offset, WritableBytes out) const override {
    std::fill(out.begin(), out.end(), 0);
    for (const WalgSource& source : sources_) {
      if (source.is_whole) {
        // It may end within the block, or before it.
        ASSIGN_OR_RETURN(const size_t got,
                         source.file->Read(uint64_t{block} * kBlockSize + offset, out));
        static_cast<void>(got);
        return {};
      }
      const auto& blocks = source.increment.blocks;
      const auto found = std::lower_bound(blocks.begin(), blocks.end(), block);
      if (found != blocks.end() && *found == block) {
        const auto number = static_cast<uint64_t>(found - blocks.begin());
        const uint64_t at = source.increment.header_size() + number * kBlockSize + offset;
        ASSIGN_OR_RETURN(const size_t got, source.file->Read(at, out));
        if (got == out.size()) return {};
        return MakeError(ErrorCode::kIo,
                         fmt::format("{} became shorter while it was read", source.where));
      }
      if (block >= source.increment.length) break;
    }
    return {};
  }

  const std::vector<WalgSource> sources_;
};

}  // namespace

uint64_t WalgIncrement::header_size() const {
  return kFixedSize + blocks.size() * sizeof(uint32_t);
}

Result<WalgIncrement> ReadWalgIncrement(const BaseFile& file, const std::string& where) {
  ASSIGN_OR_RETURN(const auto fixed, ReadFixedPart(file, where));
  const auto [length, count] = fixed;
  WalgIncrement out;
  out.length = length;
  ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  const uint64_t expected = kFixedSize + uint64_t{count} * (sizeof(uint32_t) + kBlockSize);
  if (size != expected)
    return NoIncrement(where, fmt::format("it has {} bytes, and with its {} blocks should have {}",
                                          size, count, expected));
  out.blocks.resize(count);
  const WritableBytes numbers(reinterpret_cast<uint8_t*>(out.blocks.data()),
                              count * sizeof(uint32_t));
  ASSIGN_OR_RETURN(const size_t read, file.Read(kFixedSize, numbers));
  if (read != numbers.size())
    return NoIncrement(where, fmt::format("it is cut off at byte {}", read));
  for (size_t i = 0; i < count; i++)
    if (out.blocks[i] >= pg::kBlocksPerFile || (i > 0 && out.blocks[i] <= out.blocks[i - 1]))
      return NoIncrement(where, fmt::format("block number {} at byte {} cannot stand there",
                                            out.blocks[i], kFixedSize + i * sizeof(uint32_t)));
  return out;
}

Result<uint64_t> ReadWalgLength(const BaseFile& file, const std::string& where) {
  ASSIGN_OR_RETURN(const auto fixed, ReadFixedPart(file, where));
  return uint64_t{fixed.length} * kBlockSize;
}

std::shared_ptr<const BaseFile> MakeWalgFile(std::vector<WalgSource> sources) {
  return std::make_shared<WalgFile>(std::move(sources));
}

}  // namespace neon_redo

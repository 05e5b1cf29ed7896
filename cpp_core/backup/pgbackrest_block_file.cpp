#include "cpp_core/backup/pgbackrest_block_file.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

#include "cpp_core/backup/pgbackrest_block_map.h"
#include "cpp_core/backup/unpack.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kMostSuperBlocks = 4;
constexpr const char* kSuffix = ".pgbi";

class BlockFile : public BaseFile {
 public:
  BlockFile(const PgBackRestRepository& repository, const PgBackRestManifest& manifest,
            const PgBackRestFile& file, std::vector<PgBackRestBlock> blocks)
      : repository_(repository), manifest_(manifest), file_(file), blocks_(std::move(blocks)) {}

  Result<uint64_t> Size() const override { return file_.size; }

  Result<size_t> Read(uint64_t offset, WritableBytes out) const override {
    if (offset >= file_.size) return 0;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), file_.size - offset));
    for (size_t done = 0; done < wanted;) {
      const uint64_t at = offset + done, in_block = at % file_.block_size;
      const uint64_t left = std::min(file_.block_size - in_block, file_.size - at);
      const auto count = static_cast<size_t>(std::min<uint64_t>(wanted - done, left));
      RETURN_IF_ERROR(ReadInBlock(at / file_.block_size, in_block, out.subspan(done, count)));
      done += count;
    }
    return wanted;
  }

 private:
  using Content = std::shared_ptr<const std::vector<uint8_t>>;
  struct Cached {
    uint32_t reference;
    uint64_t bundle, offset;
    Content content;
  };

  PgBackRestRange RangeOf(const PgBackRestBlock& block) const {
    return {manifest_.labels[block.reference],
            PgBackRestRepository::NameOf(block.bundle, file_.stored_name, kSuffix), block.offset,
            block.stored_size};
  }

  Status ReadInBlock(uint64_t number, uint64_t offset, WritableBytes out) const {
    const PgBackRestBlock& block = blocks_[static_cast<size_t>(number)];
    ASSIGN_OR_RETURN(const Content content, SuperBlock(block));
    const uint64_t size = std::min(file_.block_size, file_.size - number * file_.block_size);
    const uint64_t begin = uint64_t{block.number} * file_.block_size;
    const auto corrupt = [&](const char* why) {
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("block {} of file \"{}\", in the super block at byte {} of {}, {}", number,
                      file_.stored_name, block.offset, repository_.Where(RangeOf(block)), why));
    };
    if (begin > content->size() || size > content->size() - begin)
      return corrupt("is not there: the super block is too short");
    // A block is as long as when it was stored: the last one of the file may have been cut since.
    const uint64_t stored = std::min(file_.block_size, content->size() - begin);
    XXH128_canonical_t checksum;
    XXH128_canonicalFromHash(&checksum,
                             XXH3_128bits(content->data() + begin, static_cast<size_t>(stored)));
    if (std::memcmp(checksum.digest, block.checksum.data(), file_.block_checksum_size) != 0)
      return corrupt("does not have the checksum of the map");
    std::memcpy(out.data(), content->data() + begin + offset, out.size());
    return {};
  }

  Result<Content> SuperBlock(const PgBackRestBlock& block) const {
    const auto is_it = [&](const Cached& cached) {
      return cached.reference == block.reference && cached.bundle == block.bundle &&
             cached.offset == block.offset;
    };
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::find_if(cache_.begin(), cache_.end(), is_it);
      if (found != cache_.end()) {
        cache_.splice(cache_.begin(), cache_, found);
        if (found->content->size() == block.super_block_size) return found->content;
      }
    }
    ASSIGN_OR_RETURN(const Content content, ReadSuperBlock(block));
    const std::lock_guard lock(mutex_);
    cache_.push_front({block.reference, block.bundle, block.offset, content});
    if (cache_.size() > kMostSuperBlocks) cache_.pop_back();
    return content;
  }

  Result<Content> ReadSuperBlock(const PgBackRestBlock& block) const {
    const PgBackRestRange range = RangeOf(block);
    const std::string where =
        fmt::format("the super block at byte {} of {}", block.offset, repository_.Where(range));
    ASSIGN_OR_RETURN(auto stored,
                     repository_.OpenStored(range, manifest_.cipher_pass, true, where));
    const auto source = Unpack(std::move(stored), RawPacking(manifest_.packing), where);
    auto content = std::make_shared<std::vector<uint8_t>>(block.super_block_size);
    ASSIGN_OR_RETURN(const size_t got, ReadFully(source.get(), *content));
    uint8_t more;
    ASSIGN_OR_RETURN(const size_t behind, ReadFully(source.get(), {&more, 1}));
    if (got == content->size() && behind == 0) return content;
    return MakeError(
        ErrorCode::kCorrupt,
        fmt::format("{} has {} bytes, and by the map of file \"{}\" should have {}", where,
                    behind > 0 ? "more" : fmt::to_string(got), file_.stored_name, content->size()));
  }

  const PgBackRestRepository& repository_;
  const PgBackRestManifest& manifest_;
  const PgBackRestFile& file_;
  const std::vector<PgBackRestBlock> blocks_;
  mutable std::mutex mutex_;
  mutable std::list<Cached> cache_;  // the last used first
};

}  // namespace

Result<std::shared_ptr<const BaseFile>> OpenPgBackRestBlockFile(
    const PgBackRestRepository& repository, const PgBackRestManifest& manifest,
    const PgBackRestFile& file) {
  const PgBackRestRange range{manifest.labels[file.reference],
                              PgBackRestRepository::NameOf(file.bundle, file.stored_name, kSuffix),
                              file.offset + file.stored_size - file.map_size, file.map_size};
  const std::string where =
      fmt::format("file \"{}\" in {}", file.stored_name, repository.Where(range));
  if (manifest.blocks_are_beta)
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("{} is block incremental of pgBackRest before 2.46, where it was "
                                 "not final",
                                 where));
  ASSIGN_OR_RETURN(const auto source,
                   repository.OpenStored(range, manifest.cipher_pass, true, where));
  ASSIGN_OR_RETURN(const std::string map,
                   ReadRest(source.get(), static_cast<size_t>(file.map_size), where));
  const PgBackRestMapShape shape{file.block_size, file.block_checksum_size, file.size,
                                 static_cast<uint32_t>(manifest.labels.size())};
  ASSIGN_OR_RETURN(auto blocks, ParsePgBackRestBlockMap(
                                    Bytes(reinterpret_cast<const uint8_t*>(map.data()), map.size()),
                                    shape, where));
  return std::make_shared<BlockFile>(repository, manifest, file, std::move(blocks));
}

}  // namespace neon_redo

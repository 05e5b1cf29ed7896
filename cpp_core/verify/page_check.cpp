#include "cpp_core/verify/page_check.h"

#include <fmt/format.h>

#include "cpp_core/page/mask.h"
#include "cpp_core/page/page.h"
#include "cpp_core/verify/compare.h"

namespace neon_redo {

void PageCheck::Check(Rebuilder* rebuilder, Rebuilder::Blocks::Entry* entry) {
  BlockState& block = entry->value;
  if (block.failure != 0) {
    if (block.unsupported)
      findings_.Skip(rebuilder->failure(block.failure));
    else if (rebuilder->IsCopied(entry->tag.rel))
      findings_.Skip("database created by file copy");
    else
      Report(entry->tag, block, std::nullopt, rebuilder->failure(block.failure));
  } else if (block.map_is_lost) {
    findings_.Skip("visibility map copied by CREATE DATABASE");
  } else if (block.page.present()) {
    Compare(entry->tag, block, rebuilder->pages().Get(&block.page));
  }
  rebuilder->pages().Release(&block.page);
}

void PageCheck::Compare(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt) {
  auto found = data_.Read(tag, disk_);
  if (!found) return Report(tag, block, std::nullopt, found.error().message);
  if (*found == RelationFiles::Found::kNoFile)
    return Report(tag, block, std::nullopt, "the file is missing on disk");
  if (*found == RelationFiles::Found::kPastEnd)
    return Report(tag, block, std::nullopt, "the block is past the end of the file on disk");
  pages_compared_++;
  if (checksums_ && !PageView(disk_).is_new()) {
    const uint16_t stored = PageView(disk_).checksum();
    const uint16_t computed = PageChecksum(disk_, tag.block);
    if (stored != computed) {
      const auto offset = CompareWithDisk(block.mask_rmid, tag, block.hint_lsn, rebuilt, disk_);
      return Report(tag, block, offset,
                    fmt::format("the page on disk has checksum {:04X}, its content {:04X}", stored,
                                computed));
    }
  }
  const uint8_t rmid = block.mask_rmid != 0 ? block.mask_rmid : GuessResourceManager(rebuilt);
  if (auto offset = CompareWithDisk(rmid, tag, block.hint_lsn, rebuilt, disk_))
    return Report(tag, block, offset, "the page on disk differs from the rebuilt one");
  findings_.Equal(block.last_rmid);
}

void PageCheck::Report(const BlockTag& tag, const BlockState& block, std::optional<uint32_t> offset,
                       std::string problem) {
  findings_.Different(block.last_rmid, block.failure == 0,
                      {tag, block.last_lsn, block.last_start, offset, std::move(problem), {}});
}

}  // namespace neon_redo

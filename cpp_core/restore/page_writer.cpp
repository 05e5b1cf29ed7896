#include "cpp_core/restore/page_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

// A page of the visibility map that is damaged is one of zeroes for the server, too (vm_readbuf).
Result<bool> PageWriter::ReadBase(const BlockTag& tag, uint8_t* page) {
  auto found = base_.ReadOrFail(tag, page);
  if (!found && base_status_) base_status_ = tl::unexpected(found.error());
  if (!found || !*found) return found;
  const auto bad = CheckPage(page, tag.block, options_.checksums);
  if (!bad) return true;
  if (tag.fork == kVisibilityMapFork) {
    std::memset(page, 0, kBlockSize);
    return true;
  }
  return MakeError(
      ErrorCode::kCorrupt,
      bad->damage == Damage::kChecksum
          ? "the page of the base backup has a wrong checksum, and WAL has no image of it"
          : "the page of the base backup is none, and WAL has no image of it");
}

void PageWriter::Fail(const BlockTag& tag, const std::string& why) {
  failed++;
  if (failures.size() < kMostFailures)
    failures.push_back(fmt::format("block {} of {}: {}", tag.block,
                                   pg::BlockFilePath(*options_.version, tag), why));
}

Status PageWriter::Take(FinishedBlock* block) {
  if (!base_status_) return base_status_;
  switch (block->state()) {
    case PageState::kCurrent:
      return Write(block->tag(), block->page());
    case PageState::kLostMap:
      return block->block().page.present() ? Write(block->tag(), block->page()) : Status();
    case PageState::kFailed:
    case PageState::kUnsupported:
    case PageState::kCopiedDatabase:
      Fail(block->tag(), block->failure().what);
      return {};
    case PageState::kNone:
    case PageState::kSpoilt:
      return {};
  }
  return {};
}

Status PageWriter::Write(const BlockTag& tag, uint8_t* page) {
  if (options_.checksums && !pg::IsNew(page)) pg::SetChecksum(page, PageChecksum(page, tag.block));
  const size_t waiting = pages_.size() / kBlockSize;
  const bool adjoins = waiting > 0 && waiting < kMostPages && first_.rel == tag.rel &&
                       first_.fork == tag.fork && first_.block + waiting == tag.block &&
                       tag.block % pg::kBlocksPerFile != 0;
  if (!adjoins) {
    RETURN_IF_ERROR(Flush());
    first_ = tag;
  }
  pages_.insert(pages_.end(), page, page + kBlockSize);
  uint32_t& end = touched[{tag.rel, tag.fork, 0}];
  end = std::max(end, tag.block + 1);
  if (options_.bad_pages->contains(tag)) made_good.push_back(tag);
  written++;
  return {};
}

Status PageWriter::Flush() {
  if (pages_.empty()) return {};
  std::string name = pg::BlockFilePath(*options_.version, first_);
  if (name != file_name_) {
    ASSIGN_OR_RETURN(file_, options_.output->Open(name));
    file_name_ = std::move(name);
  }
  RETURN_IF_ERROR(file_->Write(uint64_t{first_.block % pg::kBlocksPerFile} * kBlockSize, pages_));
  pages_.clear();
  return {};
}

}  // namespace neon_redo

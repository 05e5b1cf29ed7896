#include "cpp_core/catalog/commit_log.h"

#include "cpp_core/pg/slru.h"
#include "cpp_core/store/slru_page.h"

namespace neon_redo {

CommitLog::CommitLog(const BaseBackup& files, uint32_t oldest, uint32_t next)
    : CommitLog([&files](const SlruBlock& block,
                         uint8_t* page) { return ReadSlruPage(files, block, page); },
                oldest, next) {}

CommitLog::Fate CommitLog::Of(uint32_t xid) {
  constexpr size_t kKeptPages = 16;
  if (xid < kFirstNormalXid || xid - oldest_ >= next_ - oldest_) return Fate::kUnknown;
  const uint32_t number = xid / kXactsPerClogPage;
  if (number != last_number_) {
    auto found = pages_.find(number);
    if (found == pages_.end()) {
      if (pages_.size() == kKeptPages) pages_.clear();
      Page page(kBlockSize);
      const SlruBlock block = SlruBlockOfPage(SlruKind::kClog, number);
      const auto read = read_(block, page.data());
      if (!read || !*read) page.clear();
      found = pages_.emplace(number, std::move(page)).first;
    }
    last_number_ = number;
    last_ = &found->second;
  }
  if (last_->empty()) return Fate::kUnknown;
  const uint32_t entry = xid % kXactsPerClogPage;
  const uint8_t bits = (*last_)[entry / kXactsPerClogByte];
  switch (bits >> entry % kXactsPerClogByte * 2 & kXactStatusMask) {
    case 0:
      return Fate::kUndecided;
    case kXactCommitted:
      return Fate::kCommitted;
    case kXactAborted:
      return Fate::kAborted;
    default:
      return Fate::kUnknown;
  }
}

}  // namespace neon_redo

#include "cpp_core/index/record_starts.h"

#include <algorithm>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

Status RecordStarts::AddNeeded(const PageKey& page) {
  ASSIGN_OR_RETURN(const auto entries, index_.Get(page, to_));
  for (const IndexEntry& entry : entries)
    if (entry.start >= from_) starts_.push_back(entry.start);
  return {};
}

Status RecordStarts::AddAll(const PageKey& key) {
  ASSIGN_OR_RETURN(const auto entries, index_.GetAll(key, from_, to_));
  for (const IndexEntry& entry : entries) starts_.push_back(entry.start);
  return {};
}

Status RecordStarts::AddFork(const RelFileNode& rel, uint8_t fork) {
  RETURN_IF_ERROR(AddAll(CutKey(rel, fork)));
  ASSIGN_OR_RETURN(const auto sizes, index_.GetAll(PageKey::OfRelationSize(rel, fork), from_, to_));
  // A fork has no block when it is made.
  for (const IndexEntry& entry : sizes)
    if (entry.size.least <= 1) starts_.push_back(entry.start);
  return {};
}

Status RecordStarts::AddDatabase(uint32_t tablespace, uint32_t database) {
  return AddAll(DatabaseKey(tablespace, database));
}

Status RecordStarts::AddCluster() {
  constexpr PageKey kFirst{kClusterField, 0, 0, 0, 0, 0};
  constexpr PageKey kLast{kClusterField, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT8_MAX, UINT32_MAX};
  return index_.ForEach(kFirst, kLast, from_, to_,
                        [&](const IndexEntry& entry) { starts_.push_back(entry.start); });
}

std::vector<Lsn> RecordStarts::Take() {
  std::sort(starts_.begin(), starts_.end());
  starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
  return std::move(starts_);
}

}  // namespace neon_redo

#include "cpp_core/verify/cluster_consumer.h"

#include <algorithm>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

void Extend(ForkSizes* sizes, const BlockTag& tag) {
  uint32_t& end = (*sizes)[{tag.rel, tag.fork, 0}];
  end = std::max(end, tag.block + 1);
}

}  // namespace

ClusterConsumer::ClusterConsumer(const PageCheck::Options& options,
                                 const CatalogRelations* const* relations, bool reads_all)
    : check(options),
      catalogs(relations),
      base_(options.base, options.version),
      version_(*options.version),
      reads_all_(reads_all),
      notes_changed_(reads_all && options.data != nullptr) {}

Result<bool> ClusterConsumer::ReadBase(const BlockTag& tag, uint8_t* page) {
  auto found = base_.ReadOrFail(tag, page);
  // Not what happened to one block: the base is needed.
  const bool ends = !found && (!reads_all_ || IsShortage(found.error().code));
  if (ends && base_status_) base_status_ = tl::unexpected(found.error());
  return found;
}

Status ClusterConsumer::Take(FinishedBlock* block) {
  if (!base_status_) return base_status_;
  const BlockTag& tag = block->tag();
  if (block->state() != PageState::kNone) Extend(&touched, tag);
  if (notes_changed_) changed[{tag.rel, tag.fork, 0}].push_back(tag.block);
  const bool has_page = block->state() == PageState::kCurrent;
  // One that is spoilt comes again, in the worker's pass.
  if (block->state() != PageState::kSpoilt)
    catalogs.Take(tag, has_page ? block->page() : nullptr, version_);
  ASSIGN_OR_RETURN(const bool was_sought, check.Check(block));
  if (was_sought) Extend(&sought, tag);
  return {};
}

}  // namespace neon_redo

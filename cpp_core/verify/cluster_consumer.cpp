#include "cpp_core/verify/cluster_consumer.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

void Extend(ForkSizes* sizes, const BlockTag& tag) {
  uint32_t& end = (*sizes)[{tag.rel, tag.fork, 0}];
  end = std::max(end, tag.block + 1);
}

}  // namespace

ClusterConsumer::ClusterConsumer(const PageCheck::Options& options,
                                 const CatalogRelations* const* relations, bool reads_all,
                                 LedgerRun* ledger, const FileCheck& files)
    : check(options),
      catalogs(relations),
      base_(options.base, options.version),
      version_(*options.version),
      reads_all_(reads_all),
      notes_changed_(reads_all && options.data != nullptr),
      ledger_(ledger),
      files_(files) {}

Result<bool> ClusterConsumer::ReadBase(const BlockTag& tag, uint8_t* page) {
  if (bad_ != nullptr && bad_->contains(tag)) needed.insert(tag);
  auto found = base_.ReadOrFail(tag, page);
  // Not what happened to one block: the base is needed.
  const bool ends = !found && (!reads_all_ || IsShortage(found.error().code));
  if (ends && base_status_) base_status_ = tl::unexpected(found.error());
  return found;
}

// Whether that is all that is done with it: it has no page, since the run resumes and only records name it that
// change nothing. Then it must be there all the same.
bool ClusterConsumer::NoteInLedger(FinishedBlock* block) {
  const BlockTag& tag = block->tag();
  const bool is_unknown =
      ledger_->resumes() && block->state() == PageState::kNone && !block->block().settled;
  if (tag.fork != kMainFork || files_.IsBlockOfBase(tag)) return is_unknown;
  if (block->state() == PageState::kCurrent) ledger_->AddMade(tag);
  if (is_unknown && !ledger_->HasMade(tag) && !files_.IsCopiedDatabase(tag.rel.spc, tag.rel.db))
    ledger_->Doubt(fmt::format("a record names block {} of {}, which is not known to exist",
                               tag.block, pg::RelationPath(version_, tag.rel, kMainFork)));
  return is_unknown;
}

Status ClusterConsumer::Take(FinishedBlock* block) {
  if (!base_status_) return base_status_;
  if (ledger_ != nullptr && NoteInLedger(block)) return {};
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

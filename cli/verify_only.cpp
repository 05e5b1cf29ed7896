#include "cli/verify_only.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "cli/index_options.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/indexed_records.h"
#include "cpp_core/index/record_starts.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/store/keys.h"

namespace neon_redo::cli {

namespace {

class IndexedWal : public WantedWal {
 public:
  explicit IndexedWal(std::unique_ptr<WalIndex> index)
      : index_(std::move(index)), records_(*index_) {}

  Lsn end() const override { return index_->end(); }
  std::optional<Error> damage() const override { return index_->damage(); }
  std::vector<std::string> TakeNotes() override { return index_->TakeNotes(); }
  Status Read(const std::set<BlockTag>& blocks, Lsn from, Lsn to, const Take& take) override;
  Result<uint32_t> TouchedEnd(const BlockTag& fork, Lsn from, Lsn to) override;

 private:
  Result<std::vector<Lsn>> FindStarts(const std::set<BlockTag>& blocks, Lsn from, Lsn to);

  std::unique_ptr<WalIndex> index_;
  IndexedRecords records_;
};

Result<std::vector<Lsn>> IndexedWal::FindStarts(const std::set<BlockTag>& blocks, Lsn from,
                                                Lsn to) {
  RecordStarts starts(index_.get(), from, to);
  std::set<RelFileNode> relations;
  std::set<std::pair<uint32_t, uint32_t>> databases;
  for (const BlockTag& tag : blocks) {
    relations.insert(tag.rel);
    databases.emplace(tag.rel.spc, tag.rel.db);
    RETURN_IF_ERROR(starts.AddNeeded(PageKey::OfBlock(tag)));
  }
  for (const RelFileNode& rel : relations)
    for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++)
      RETURN_IF_ERROR(starts.AddFork(rel, fork));
  for (const auto& [tablespace, database] : databases)
    RETURN_IF_ERROR(starts.AddDatabase(tablespace, database));
  RETURN_IF_ERROR(starts.AddCluster());
  return starts.Take();
}

Status IndexedWal::Read(const std::set<BlockTag>& blocks, Lsn from, Lsn to, const Take& take) {
  ASSIGN_OR_RETURN(const auto starts, FindStarts(blocks, from, to));
  for (const Lsn start : starts) {
    RETURN_IF_ERROR(records_.Read(start));
    ASSIGN_OR_RETURN(const bool goes_on, take(records_.record()));
    if (!goes_on) break;
  }
  return {};
}

Result<uint32_t> IndexedWal::TouchedEnd(const BlockTag& fork, Lsn from, Lsn to) {
  // What was there before the database was made or dropped is none of it.
  ASSIGN_OR_RETURN(const auto events,
                   index_->GetAll(DatabaseKey(fork.rel.spc, fork.rel.db), from, to));
  if (!events.empty()) from = events.back().start;
  ASSIGN_OR_RETURN(const auto entries,
                   index_->GetAll(PageKey::OfRelationSize(fork.rel, fork.fork), from, to));
  if (entries.empty()) return 0;
  ASSIGN_OR_RETURN(const SizeBounds size,
                   index_->GetSize(PageKey::OfRelationSize(fork.rel, fork.fork), from, to));
  return size.least > 0 ? static_cast<uint32_t>(size.least - 1) : 0;
}

}  // namespace

Result<WantedPages> FindOnly(const std::vector<std::string>& names, const std::string& index,
                             int jobs) {
  WantedPages out;
  for (const std::string& name : names) {
    const auto page = ParsePageName(name);
    const auto tag = page ? page->ToBlock() : tl::unexpected(page.error());
    const auto first = ParsePageName(name + "/0");
    const auto relation = first ? first->ToBlock() : tl::unexpected(first.error());
    const bool is_page = tag && tag->fork != kFreeSpaceMapFork;
    if (is_page)
      out.pages.insert(*tag);
    else if (!tag && relation && relation->fork == kMainFork)
      out.relations.insert(relation->rel);
    else
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("--only={} is neither a page, such as base/5/16384/7 or "
                      "base/5/16384_vm/0, nor a relation, such as base/5/16384; WAL has no "
                      "free space map, and an SLRU is looked at as a whole",
                      name));
  }
  out.open = [index, jobs](const WalSet& wal,
                           const WalRange& range) -> Result<std::unique_ptr<WantedWal>> {
    ASSIGN_OR_RETURN(auto opened, OpenIndex(wal, range, index, jobs));
    return std::make_unique<IndexedWal>(std::move(opened));
  };
  return out;
}

}  // namespace neon_redo::cli

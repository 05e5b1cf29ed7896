#include "cpp_core/replay/page_replay.h"

#include "cpp_core/base/guard.h"
#include "cpp_core/base/prefetch.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

class PageReplay::ReplayPartition : public Partition {
 public:
  ReplayPartition(Rebuilder::Options options, bool has_bases,
                  std::unique_ptr<PageConsumer> consumer, PageReplay* replay)
      : consumer(std::move(consumer)),
        rebuilder(has_bases ? WithBase(std::move(options), this->consumer.get())
                            : std::move(options)),
        replay_(*replay) {}

  Status Take(const WalRecord& record, const RecordView& view, Lane* lane) override {
    return rebuilder.Take(record, view, &lane->worker);
  }
  Status TakeAll(const RecordBatch& batch, Lane* lane) override {
    return rebuilder.TakeAll(batch, &lane->view, &lane->order, &lane->worker);
  }
  bool prefers_batches() const override { return true; }
  Result<bool> TakeAhead(const WalRecord& record, const RecordView& view, const BlockChange& change,
                         Lane* lane) override {
    return rebuilder.TakeAhead(record, view, change, &lane->worker);
  }
  Status Finish(Lane* lane) override;

  const std::unique_ptr<PageConsumer> consumer;
  Rebuilder rebuilder;
  std::vector<BlockTag> spoilt;

 private:
  static Rebuilder::Options WithBase(Rebuilder::Options options, PageConsumer* consumer) {
    options.base = [consumer](const BlockTag& tag, uint8_t* page) {
      return consumer->ReadBase(tag, page);
    };
    return options;
  }

  PageReplay& replay_;
};

Status PageReplay::ReplayPartition::Finish(Lane* lane) {
  constexpr uint64_t kStep = 256;  // blocks from one report of progress to the next
  RETURN_IF_ERROR(rebuilder.Flush(&lane->worker));
  const std::vector<Rebuilder::Blocks::Entry*> entries = rebuilder.blocks().Sorted();
  for (size_t i = 0; i < entries.size(); i++) {
    if (i + 1 < entries.size()) {
      if (const uint8_t* next = rebuilder.pages().Look(entries[i + 1]->value.page))
        PrefetchRange(next, kBlockSize);
    }
    FinishedBlock block(&rebuilder, entries[i]);
    if (block.state() == PageState::kSpoilt) spoilt.push_back(block.tag());
    RETURN_IF_ERROR(consumer->Take(&block));
    rebuilder.pages().Release(&entries[i]->value.page);
    if ((i + 1) % kStep != 0) continue;
    const uint64_t finished = replay_.finished_ += kStep;
    if (lane->is_callers && replay_.progress_) replay_.progress_(finished);
  }
  return rebuilder.pages().status();
}

Result<std::unique_ptr<PageReplay>> PageReplay::Make(const ReplayOptions& options,
                                                     const pg::Version& version,
                                                     MemoryBudget* memory,
                                                     const MakeConsumer& make_consumer,
                                                     const std::set<BlockTag>* only) {
  return Guarded([&]() -> Result<std::unique_ptr<PageReplay>> {
    std::unique_ptr<PageReplay> replay(new PageReplay);
    const uint32_t count = Distributor::PartitionsFor(options.jobs, options.memory);
    std::vector<Partition*> pointers;
    for (uint32_t number = 0; number < count; number++) {
      Rebuilder::Options partition{.engine = options.engine,
                                   .base = {},
                                   .partition = number,
                                   .partitions = count,
                                   .only = only,
                                   .memory = memory,
                                   .spill_directory = options.spill_directory,
                                   .hints_logged = options.hints_logged};
      replay->partitions_.push_back(std::make_unique<ReplayPartition>(
          std::move(partition), !options.without_bases, make_consumer(), replay.get()));
      pointers.push_back(replay->partitions_.back().get());
    }
    replay->distributor_ = std::make_unique<Distributor>(options, version, std::move(pointers));
    return replay;
  });
}

PageReplay::~PageReplay() = default;

Status PageReplay::Finish(const Progress& progress) {
  progress_ = progress;
  return Guarded([this] { return distributor_->Finish(); });
}

ReplayCounts PageReplay::counts() const {
  ReplayCounts sum;
  for (const auto& partition : partitions_) {
    const Rebuilder& rebuilder = partition->rebuilder;
    sum.engines.Add(rebuilder.counts());
    sum.spills += rebuilder.pages().spills();
    for (size_t reason = 0; reason < kForgottenReasons; reason++)
      sum.forgotten[reason] += rebuilder.forgotten(static_cast<Forgotten>(reason));
  }
  return sum;
}

std::optional<UnknownPage> PageReplay::unknown() const {
  std::optional<UnknownPage> first;
  for (const auto& partition : partitions_) {
    const auto& found = partition->rebuilder.unknown();
    if (found && (!first || found->lsn < first->lsn)) first = found;
  }
  return first;
}

std::set<BlockTag> PageReplay::spoilt() const {
  std::set<BlockTag> all;
  for (const auto& partition : partitions_)
    all.insert(partition->spoilt.begin(), partition->spoilt.end());
  return all;
}

}  // namespace neon_redo

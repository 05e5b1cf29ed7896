// Many pages kept current while WAL goes by, on several threads and in bounded memory. What the
// pages are before and what is done with them afterwards is the consumer's: pages are compared with
// a cluster's, or written to files, or kept.
//
//   MemoryBudget memory(MemoryForPages(options));
//   auto replay = PageReplay::Make(options, version, &memory, make_consumer);
//   Ingest ingest;  ChangeList others;  RecordView view(version);
//   for each record of the WAL, in order:
//     ParseRecord(record, &view);  ingest.TakeBeyondBlocks(view, &others);
//     replay->Take(record, view, others);
//   replay->Finish();
#ifndef NEON_REDO_REPLAY_PAGE_REPLAY_H_
#define NEON_REDO_REPLAY_PAGE_REPLAY_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "cpp_core/base/memory_budget.h"
#include "cpp_core/replay/distributor.h"
#include "cpp_core/replay/options.h"
#include "cpp_core/replay/rebuilder.h"
#include "cpp_core/replay/targets.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/native.h"

namespace neon_redo {

// A block that WAL changes and does not do away with, after the last record. Valid during the call
// that it is an argument of.
class FinishedBlock {
 public:
  FinishedBlock(Rebuilder* rebuilder, Rebuilder::Blocks::Entry* entry)
      : rebuilder_(*rebuilder), entry_(*entry), state_(rebuilder->StateOf(*entry)) {}

  const BlockTag& tag() const { return entry_.tag; }
  PageState state() const { return state_; }
  // The last record that names the block, and what else is known of it.
  const BlockState& block() const { return entry_.value; }
  // kCurrent: kBlockSize bytes at a multiple of kBlockSize, which the consumer may change. Reads
  // the page back if it was spilled.
  uint8_t* page() { return rebuilder_.pages().Get(&entry_.value.page); }
  // kFailed, kUnsupported, kCopiedDatabase: why there is no page.
  const PageFailure& failure() const { return rebuilder_.failure(entry_.value.failure); }

 private:
  Rebuilder& rebuilder_;
  Rebuilder::Blocks::Entry& entry_;
  const PageState state_;
};

// The consumer's side of one partition. Never used by two threads at a time, but perhaps by
// different ones in turn.
class PageConsumer {
 public:
  virtual ~PageConsumer() = default;
  // As BasePageReader. Called once for a block, when WAL first changes it without making it whole.
  virtual Result<bool> ReadBase(const BlockTag& tag, uint8_t* page) = 0;
  // Takes a block. They come in the order of relation, fork and block. An error ends everything.
  virtual Status Take(FinishedBlock* block) = 0;
};

// Counts of all partitions.
struct ReplayCounts {
  EngineCounts engines;  // of changes: who applied them
  uint64_t spills = 0;   // pages written to the temporary file, however often
  std::array<uint64_t, kForgottenReasons> forgotten{};  // blocks, by Forgotten
};

// Not thread-safe. Its own threads end with it.
class PageReplay {
 public:
  using MakeConsumer = std::function<std::unique_ptr<PageConsumer>()>;
  // How many blocks were handed to consumers so far. Called on the caller's thread, now and then.
  using Progress = std::function<void(uint64_t finished)>;

  // Makes a consumer for each partition. version: of the WAL. memory: for pages and what is known of
  // blocks; it may be shared with others. only: blocks to be rebuilt, and no others; null: all. Both
  // must outlive the object. kOutOfMemory.
  static Result<std::unique_ptr<PageReplay>> Make(const ReplayOptions& options,
                                                  const pg::Version& version, MemoryBudget* memory,
                                                  const MakeConsumer& make_consumer,
                                                  const std::set<BlockTag>* only = nullptr);
  ~PageReplay();

  // Takes a record, parsed by the caller, in the order of WAL. others: its changes by
  // Ingest::TakeBeyondBlocks or TakeRelationChanges. Everything is the caller's again afterwards.
  // Errors, perhaps an earlier record's: of Rebuilder::Take and of consumers. May throw
  // std::bad_alloc, which the caller guards for all records at once (base/guard.h).
  Status Take(const WalRecord& record, const RecordView& view, const ChangeList& others) {
    FindTargets(view, others, static_cast<uint32_t>(partitions_.size()), true, &targets_);
    return distributor_->Send(record, view, targets_);
  }

  // After the last record: hands all blocks to the consumers. progress may be empty.
  Status Finish(const Progress& progress = {});

  // After Finish.
  ReplayCounts counts() const;
  // ReplayOptions::without_bases: the first of Rebuilder::unknown.
  std::optional<UnknownPage> unknown() const;
  // Blocks in state kSpoilt: they need another PageReplay, of the same WAL, with Engine::kWorker and
  // `only` these.
  std::set<BlockTag> spoilt() const;

 private:
  class ReplayPartition;

  PageReplay() = default;

  std::vector<std::unique_ptr<ReplayPartition>> partitions_;
  std::atomic<uint64_t> finished_{0};
  Progress progress_;
  Targets targets_;
  std::unique_ptr<Distributor> distributor_;  // its threads use all of the above
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_PAGE_REPLAY_H_

// Pages of one partition, kept current while WAL goes by: every change is applied as it comes, by
// the native engine where it can, by a worker where it cannot. page_replay.h runs many of these.
#ifndef NEON_REDO_REPLAY_REBUILDER_H_
#define NEON_REDO_REPLAY_REBUILDER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cpp_core/replay/block_table.h"
#include "cpp_core/replay/distributor.h"
#include "cpp_core/replay/page_order.h"
#include "cpp_core/replay/page_pool.h"
#include "cpp_core/replay/record_batch.h"
#include "cpp_core/replay/tolerated_lsn.h"
#include "cpp_core/replay/worker_batch.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/native.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Writes the page that a block has before WAL changes it, kBlockSize bytes; false when there is no
// such page. An error is that of the one block.
using BasePageReader = std::function<Result<bool>(const BlockTag& tag, uint8_t* page)>;

// Why the page of a block could not be rebuilt.
struct PageFailure {
  std::string what;  // one line
  bool unsupported =
      false;         // only a worker could have, and it was not to be asked (Engine::kNative)
  uint8_t rmid = 0;  // unsupported: the record's resource manager
  uint8_t info = 0;  // and operation
};

// A page that a record changes before any record makes it whole, where there are no bases.
struct UnknownPage {
  BlockTag tag;
  Lsn lsn;  // start of the record
};

// Why WAL itself did away with a block.
enum class Forgotten : uint8_t { kRelationDropped, kRelationTruncated, kDatabaseDropped };
inline constexpr size_t kForgottenReasons = 3;

// How things stand with a block's page.
enum class PageState : uint8_t {
  kCurrent,         // there is a page, as of the last record
  kNone,            // there is none, and needs be none: a map page that no file has
  kFailed,          // it could not be rebuilt: see Rebuilder::failure
  kUnsupported,     // the same, because no worker was to be asked
  kCopiedDatabase,  // it could not be rebuilt: its file is a copy, made without records
  kLostMap,         // a visibility map page whose bits are not in WAL
  kSpoilt,          // to be rebuilt in another pass, by a worker alone
};

// What is known of a block. With its tag it fills a line of the processor's cache.
struct BlockState {
  PageRef page;                  // as of the last change, but for those in `request`
  uint32_t request = kNone;      // in the batch for the worker
  Lsn last_start, last_lsn;      // of the last record that names the block; 0: none does
  Lsn hint_lsn;                  // see tolerated()
  uint32_t failure = 0;          // why there is no page: see Rebuilder::failure; 0: no reason
  uint8_t last_rmid = 0;         // of that record
  uint8_t mask_rmid = 0;         // of the last one whose resource manager has a mask; 0: none
  bool settled : 1 = false;      // the base need not be looked at any more
  bool map_is_lost : 1 = false;  // a visibility map page whose bits are not in WAL
  bool spoilt : 1 = false;       // by the native engine: to be rebuilt by a worker alone
  LsnRule lsn_rule = LsnRule::kExact;

  // Which LSNs the page on disk may have.
  ToleratedLsn tolerated() const { return {lsn_rule, hint_lsn}; }
  void Tolerate(const ToleratedLsn& what) {
    lsn_rule = what.rule;
    hint_lsn = what.lsn;
  }

  static constexpr uint32_t kNone = UINT32_MAX;
};

// The blocks of one partition. Not thread-safe.
class Rebuilder {
 public:
  using Blocks = BlockTable<BlockState>;

  struct Options {
    Engine engine = Engine::kAuto;
    BasePageReader base;  // empty: there is none, and a block is left alone until a record makes it
    uint32_t partition = 0, partitions = 1;
    const std::set<BlockTag>* only = nullptr;  // all others are left out; null: there is no limit
    MemoryBudget* memory = nullptr;
    std::string spill_directory;
    // There is no second pass: what does not fit its page goes to the worker at once. A page is
    // copied before each record.
    bool reads_once = false;
    bool hints_logged = false;  // by the server, as far as is known: see HintLogging
  };
  // What options point to must outlive the rebuilder.
  explicit Rebuilder(const Options& options);

  // Takes a record. The worker is used when a batch of requests is full. An error ends everything:
  // kCorrupt, the record is not what it claims to be; kWorker and others, no worker can be run;
  // kIo, pages could not be spilled.
  Status Take(const WalRecord& record, const RecordView& view, RedoWorker* worker);

  // Takes records that were not parsed yet, page by page. Changes of one page are applied in the
  // order of their records, so the outcome is the same. But a page that several records change is
  // brought to the processor's caches once. The changes are this partition's. view, order: scratch.
  Status TakeAll(const RecordBatch& batch, RecordView* view, PageOrder* order, RedoWorker* worker);

  // Takes a change that brings an image of its block, before older changes that are still to come.
  // Those are then left out. None of them may be of a whole relation. Returns whether it did.
  Result<bool> TakeAhead(const WalRecord& record, const RecordView& view, const BlockChange& change,
                         RedoWorker* worker);

  // Has the worker apply what waits for it.
  Status Flush(RedoWorker* worker);

  Blocks& blocks() { return blocks_; }
  PagePool& pages() { return pages_; }
  const PagePool& pages() const { return pages_; }
  // For a block that waits for no worker: call Flush before.
  PageState StateOf(const Blocks::Entry& entry) const;
  // Why the page of a block could not be rebuilt; its number must not be 0.
  const PageFailure& failure(uint32_t number) const { return failures_[number - 1]; }
  // The database's files are copies of another's, so there may be no base to rebuild from.
  bool IsCopied(const RelFileNode& rel) const {
    return !copied_databases_.empty() && copied_databases_.contains({rel.spc, rel.db});
  }
  const EngineCounts& counts() const { return counts_; }
  // Blocks that WAL itself did away with.
  uint64_t forgotten(Forgotten reason) const { return forgotten_[static_cast<size_t>(reason)]; }
  // Without bases: the first record that needs what its page was before, and that page. Nothing: each
  // page was made whole before that, or is still kNone and not BlockState::settled.
  const std::optional<UnknownPage>& unknown() const { return unknown_; }

 private:
  bool IsMine(const BlockTag& tag) const {
    return PartitionOf(tag, options_.partitions) == options_.partition;
  }
  bool IsWanted(const BlockTag& tag) const {
    return tag.fork != kFreeSpaceMapFork &&
           (options_.only == nullptr || options_.only->contains(tag));
  }
  Status FindOthers(const WalRecord& record, const RecordView& view);
  Status TakeInOrder(const RecordBatch& batch, std::span<const BlockChange> changes,
                     RecordView* view, RedoWorker* worker);
  Status TakeChange(const WalRecord& record, const BlockChange& change, const RecordView& view,
                    RedoWorker* worker);
  Status TakeOther(const WalRecord& record, const Change& change, uint8_t rmid, RedoWorker* worker);
  Status TakeMapChange(const WalRecord& record, const Change& change, uint8_t rmid,
                       RedoWorker* worker);
  void NoteRecord(const WalRecord& record, const RecordView& view, const BlockRef& ref,
                  BlockState* block);
  void NoteUnknown(const WalRecord& record, const RecordView& view, int id);
  Lsn EarliestLsn(const BlockRef& ref, const BlockState& block);
  void NoteLsn(const WalRecord& record, const RecordView& view, const BlockRef& ref,
               BlockState* block);
  Status TakeBlock(const WalRecord& record, const RecordView& view, int id, uint64_t hash,
                   RedoWorker* worker);
  Status Apply(const WalRecord& record, const RecordView& view, int id, Blocks::Entry* entry,
               ChangeCounts* counts, RedoWorker* worker);
  Status Ask(const WalRecord& record, Blocks::Entry* entry, const uint8_t* base,
             RedoWorker* worker);
  Status Supersede(const RecordView& view, int id, BlockState* block);
  void Restart(BlockState* block);
  bool FindBase(Blocks::Entry* entry);
  bool FindPage(const RecordView& view, int id, Blocks::Entry* entry);
  void Fail(BlockState* block, PageFailure why);
  void NotSupported(const RecordView& view, BlockState* block);
  void Cancel(BlockState* block);
  auto Forgetter(Forgotten reason);

  const Options options_;
  PagePool pages_;
  Blocks blocks_;
  std::set<std::pair<uint32_t, uint32_t>> copied_databases_;  // tablespace, database
  WorkerBatch batch_;
  std::vector<Blocks::Entry*> asked_;  // by request of the batch; null: its answer is dropped
  std::vector<PageFailure> failures_;
  std::map<uint16_t, uint32_t> unsupported_;  // resource manager, operation: number of the failure
  std::array<uint64_t, kForgottenReasons> forgotten_{};
  std::optional<UnknownPage> unknown_;
  EngineCounts counts_;
  ChangeList others_;                      // of a record, beyond its blocks
  alignas(64) uint8_t saved_[kBlockSize];  // the page before the record
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_REBUILDER_H_

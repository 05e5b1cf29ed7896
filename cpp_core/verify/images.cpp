// For each block the latest image is kept. It is the base for the next record that names the block.
// A rebuilt page is never a base: so one wrong page does not spoil the next, and a worker may be
// asked later, about many records at once.
//
// An image shows the page before the record's LSN was stamped on it; redo skips a record that is
// not newer than the page. So a kept image gets the end of its record as LSN, as redo would do.
//
// Images for redo (full-page writes) are compared, too, though the server does not compare them: so
// it is checked that the engine unpacks images correctly.
//
// The server's mask covers the bits of the visibility map, so they are not checked: another backend
// may clear a bit before its record comes. Comparing with a cluster at rest checks them.
#include "neon_redo/verify.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstring>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/redo/apply.h"
#include "cpp_core/redo/native/clear_map.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/replay/block_table.h"
#include "cpp_core/replay/distributor.h"
#include "cpp_core/replay/page_pool.h"
#include "cpp_core/replay/targets.h"
#include "cpp_core/replay/worker_batch.h"
#include "cpp_core/verify/compare.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/last_records.h"
#include "cpp_core/verify/options.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/describe.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {
namespace {

class ImagePartition : public Partition {
 public:
  ImagePartition(const VerifyOptions& options, uint32_t number, uint32_t partitions,
                 MemoryBudget* memory)
      : engine_(options.engine),
        number_(number),
        partitions_(partitions),
        pages_(memory, options.spill_directory),
        latest_(memory) {}

  Status Take(const WalRecord& record, const RecordView& view, Lane* lane) override {
    RETURN_IF_ERROR(ForgetBlocks(record, view));
    for (int id = 0; id <= view.max_block_id(); id++) {
      const BlockRef* ref = view.block(id);
      if (ref == nullptr || PartitionOf(ref->tag, partitions_) != number_) continue;
      RETURN_IF_ERROR(TakeBlock(record, view, id));
      if (batch_.full()) {
        RETURN_IF_ERROR(Flush(lane));
      }
    }
    return {};
  }

  Status Finish(Lane* lane) override {
    RETURN_IF_ERROR(Flush(lane));
    return pages_.status();
  }

  void AddTo(VerifyResult* result) const {
    findings_.AddTo(result);
    result->engines.Add(counts_);
    result->pages_spilled += pages_.spills();
  }

 private:
  // One record's effect on one block: what it is called in findings.
  struct OneChange {
    BlockTag tag;
    Lsn start, end;
    uint8_t rmid;
  };
  struct Question {
    OneChange change;
    std::array<uint8_t, kBlockSize> image;
  };

  enum class Next { kCompare, kAskWorker, kNothing };

  Status ForgetBlocks(const WalRecord& record, const RecordView& view);
  Status TakeBlock(const WalRecord& record, const RecordView& view, int id);
  Next Apply(const RecordView& view, int id, const OneChange& change, const uint8_t* base);
  void Compare(const OneChange& change, uint8_t* rebuilt, const uint8_t* image);
  void Report(const OneChange& change, bool rebuilt, std::optional<uint32_t> offset,
              std::string problem) {
    findings_.Different(
        change.rmid, rebuilt,
        {change.tag, change.end, change.start, offset, std::move(problem), {}, Damage::kNone, {}});
  }
  Status Flush(Lane* lane);

  const Engine engine_;
  const uint32_t number_, partitions_;
  PagePool pages_;
  BlockTable<PageRef> latest_;
  WorkerBatch batch_;
  std::vector<Question> questions_;  // by request of the batch
  Findings findings_{kMostMismatches / 8};
  EngineCounts counts_;
  ChangeList others_;  // of a record, beyond its blocks
  alignas(64) uint8_t rebuilt_[kBlockSize];
};

Status ImagePartition::ForgetBlocks(const WalRecord& record, const RecordView& view) {
  if (const RecordFault fault = TakeRelationChanges(view, &others_))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
  const auto forget = [this](PageRef* page) { pages_.Release(page); };
  for (const Change& change : others_) {
    const RelFileNode rel = RelationOf(change);
    if (change.kind == ChangeKind::kCreateFork && (change.flags & kNewRelationFile))
      latest_.Truncate(rel, change.key.field5, 0, forget);
    else if (change.kind == ChangeKind::kTruncateFork && change.key.field5 == kMainFork)
      latest_.Truncate(rel, kMainFork, change.number, forget);
    else if (change.kind == ChangeKind::kDropRelation)
      latest_.Drop(rel, forget);
    else if (change.kind == ChangeKind::kCreateDatabase ||
             change.kind == ChangeKind::kCopyDatabase || change.kind == ChangeKind::kDropDatabase)
      latest_.DropDatabase(rel.db, rel.spc, forget);
  }
  return {};
}

Status ImagePartition::TakeBlock(const WalRecord& record, const RecordView& view, int id) {
  const BlockRef& ref = *view.block(id);
  PageRef& latest = latest_.at(ref.tag);
  if (!ref.has_image) {
    // The page is another one now, and cannot be known.
    pages_.Release(&latest);
    findings_.Skip(SkipReason::kNoImage);
    return {};
  }
  const OneChange change{ref.tag, record.start, record.end, view.rmid()};
  const bool have_image = latest.present();
  uint8_t* page = have_image ? pages_.Get(&latest) : pages_.Allocate(&latest);
  // The maps are extended with zeroes and without a record, but not to clear bits in them.
  static const std::array<uint8_t, kBlockSize> kZeroPage{};
  const bool is_map = (ref.tag.fork == kVisibilityMapFork || ref.tag.fork == kFreeSpaceMapFork) &&
                      !ClearsMap(view, id);
  const uint8_t* base = ref.initialises() ? nullptr
                        : have_image      ? page
                        : is_map          ? kZeroPage.data()
                                          : nullptr;
  const bool can_be_judged = base != nullptr || ref.initialises();
  Next next = Next::kNothing;
  if (can_be_judged)
    next = Apply(view, id, change, base);
  else
    findings_.Skip(SkipReason::kNoEarlierImage);
  if (next == Next::kAskWorker) batch_.Add(batch_.Begin(ref.tag, base), record.end, record.bytes);
  if (Status restored = RestoreImage(ref, page); !restored)
    return MakeError(
        restored.error().code,
        fmt::format("WAL record at {}: {}", record.start.ToString(), restored.error().message));
  SetPageLsn(page, record.end);
  if (next == Next::kCompare) Compare(change, rebuilt_, page);
  if (next == Next::kAskWorker) {
    questions_.push_back({change, {}});
    std::memcpy(questions_.back().image.data(), page, kBlockSize);
  }
  return {};
}

// Applies the record to a copy of the base, in rebuilt_.
ImagePartition::Next ImagePartition::Apply(const RecordView& view, int id, const OneChange& change,
                                           const uint8_t* base) {
  if (base != nullptr && engine_ != Engine::kWorker) std::memcpy(rebuilt_, base, kBlockSize);
  ChangeCounts& counts = counts_.At(view.rmid(), view.header().info);
  switch (ApplyRecord(engine_, view, id, change.end, rebuilt_, base != nullptr, nullptr, &counts)
              .outcome) {
    case ApplyOutcome::kApplied:
      return Next::kCompare;
    case ApplyOutcome::kForWorker:
    case ApplyOutcome::kSpoilt:
      return Next::kAskWorker;
    case ApplyOutcome::kUnsupported:
      findings_.SkipUnsupported(view.rmid(), view.info());
      return Next::kNothing;
    case ApplyOutcome::kMalformed:
      Report(change, false, std::nullopt,
             "the native engine refuses the record: it does not fit the page");
      return Next::kNothing;
  }
  return Next::kNothing;
}

void ImagePartition::Compare(const OneChange& change, uint8_t* rebuilt, const uint8_t* image) {
  const auto offset = CompareWithImage(change.rmid, change.tag, rebuilt, image);
  if (!offset) return findings_.Equal(change.rmid);
  Report(change, true, offset, "the rebuilt page differs from the image in the record");
}

Status ImagePartition::Flush(Lane* lane) {
  Status sent = batch_.Send(
      &lane->worker, [this](uint32_t request, const uint8_t* page, const Status& status) {
        const Question& question = questions_[request];
        if (!status) return Report(question.change, false, std::nullopt, status.error().message);
        std::memcpy(rebuilt_, page, kBlockSize);
        Compare(question.change, rebuilt_, question.image.data());
      });
  if (sent) questions_.clear();
  return sent;
}

class ImageVerifier {
 public:
  explicit ImageVerifier(const VerifyOptions& options) : options_(options) {}

  Result<VerifyResult> Run();

 private:
  Status ReadAll(WalReader* reader, Distributor* distributor, uint32_t partitions);

  const VerifyOptions& options_;
  VerifyResult result_;
};

Result<VerifyResult> ImageVerifier::Run() {
  const auto started = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const auto wal,
                   WalSet::Open(WalSources{.directories = options_.wal,
                                           .restore_command = options_.restore_command,
                                           .timeline = options_.timeline,
                                           .stanza = options_.wal_stanza,
                                           .cipher_pass_file = options_.wal_cipher_pass_file}));
  ASSIGN_OR_RETURN(auto reader, OpenWal(wal, {.timeline = options_.timeline}));
  RETURN_IF_ERROR(CheckWorkerFiles(options_.worker, reader->version(), options_.engine));
  const uint32_t count = Distributor::PartitionsFor(options_.jobs, options_.memory);
  MemoryBudget memory(MemoryForPages(ReplayOptionsOf(options_)));
  std::vector<std::unique_ptr<ImagePartition>> partitions;
  std::vector<Partition*> pointers;
  for (uint32_t number = 0; number < count; number++) {
    partitions.push_back(std::make_unique<ImagePartition>(options_, number, count, &memory));
    pointers.push_back(partitions.back().get());
  }
  Distributor distributor(ReplayOptionsOf(options_), reader->version(), pointers);
  Status done = ReadAll(reader.get(), &distributor, count);
  if (done) done = distributor.Finish();
  if (!done) return tl::unexpected(done.error());
  result_.version = &reader->version();
  for (const auto& partition : partitions) partition->AddTo(&result_);
  ListInOrder(&result_);
  for (const RmgrCounts& counts : result_.by_rmgr) result_.images_compared += counts.rebuilt;
  result_.end = reader->end_of_wal();
  result_.end_reason = reader->end_reason();
  result_.timeline = reader->timeline();
  result_.wal_directories = options_.wal;
  result_.restore_command = options_.restore_command;
  result_.wal_notes = reader->notes();
  result_.wal_bytes = reader->bytes_read();
  RETURN_IF_ERROR(DescribeLastRecords(wal, options_.timeline, &result_.mismatches));
  result_.elapsed_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return std::move(result_);
}

Status ImageVerifier::ReadAll(WalReader* reader, Distributor* distributor, uint32_t partitions) {
  RecordView view(reader->version());
  ChangeList others;
  Targets targets;
  bool any_checked = false;
  for (;;) {
    ASSIGN_OR_RETURN(auto wal, reader->Next());
    if (!wal) break;
    RETURN_IF_ERROR(ParseRecord(*wal, &view));
    if (result_.records++ == 0) result_.start = wal->start;
    any_checked |= (view.header().info & kInfoCheckConsistency) != 0;
    if (const RecordFault fault = TakeRelationChanges(view, &others))
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("WAL record at {}: {}", wal->start.ToString(), fault.what));
    FindTargets(view, others, partitions, false, &targets);
    RETURN_IF_ERROR(distributor->Send(*wal, view, targets));
    if (options_.progress && result_.records % 4096 == 0)
      options_.progress({"reading WAL", reader->bytes_read(), reader->bytes_total()});
  }
  if (any_checked) return {};
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("the WAL in {} carries no images to compare with: write it with "
                               "wal_consistency_checking = 'all', or verify with --base-backup",
                               NamePaths(options_.wal)));
}

}  // namespace

Result<VerifyResult> VerifyImages(const VerifyOptions& options) {
  return Guarded([&] { return ImageVerifier(options).Run(); });
}

}  // namespace neon_redo

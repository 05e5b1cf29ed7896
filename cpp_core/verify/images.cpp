// For each block the latest image is kept, and is the base for the next record that names the
// block: never an answer, so one wrong answer does not spoil the next, and a worker may be asked
// later, about many records at once.
//
// An image shows the page before the record's LSN was stamped on it; redo skips a record that is
// not newer than the page. So a kept image gets the end of its record as LSN, as redo would do.
//
// Images for redo (full-page writes) are compared too, though the server does not: that the engine
// unpacks an image rightly is worth knowing.
//
// The visibility map is checked only as far as the server's mask lets it be, which is not at all
// for the bits: another backend may clear a bit before its record comes. Comparing with a cluster
// at rest (cluster.h) has no such limit.
#include "neon_redo/verify.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/replay/block_table.h"
#include "cpp_core/replay/distributor.h"
#include "cpp_core/replay/page_pool.h"
#include "cpp_core/replay/targets.h"
#include "cpp_core/replay/worker_batch.h"
#include "cpp_core/verify/compare.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/last_records.h"
#include "neon_redo/describe.h"
#include "neon_redo/native.h"
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
    ForgetStorage(view);
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
  struct Change {
    BlockTag tag;
    Lsn start, end;
    uint8_t rmid;
  };
  struct Question {
    Change change;
    std::array<uint8_t, kBlockSize> image;
  };

  void ForgetStorage(const RecordView& view);
  Status TakeBlock(const WalRecord& record, const RecordView& view, int id);
  bool ApplyNatively(const RecordView& view, int id, const Change& change, const uint8_t* base,
                     bool* answered);
  void Compare(const Change& change, uint8_t* rebuilt, const uint8_t* image);
  void Report(const Change& change, bool rebuilt, std::optional<uint32_t> offset,
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
  Findings findings_;
  EngineCounts counts_;
  std::vector<StorageEvent> events_;
  alignas(64) uint8_t rebuilt_[kBlockSize];
};

void ImagePartition::ForgetStorage(const RecordView& view) {
  if (!ReadStorageEvents(view, &events_)) return;
  const auto forget = [this](PageRef* page) { pages_.Release(page); };
  for (const StorageEvent& event : events_) {
    if (event.kind == StorageEvent::kCreateFork)
      latest_.Truncate(event.rel, event.fork, 0, forget);
    else if (event.kind == StorageEvent::kTruncateFork && event.fork == kMainFork)
      latest_.Truncate(event.rel, event.fork, event.block, forget);
    else if (event.kind == StorageEvent::kDropRelation)
      latest_.Drop(event.rel, forget);
    else if (event.kind == StorageEvent::kDropDatabase || event.kind == StorageEvent::kCopyDatabase)
      latest_.DropDatabase(event.rel.db, event.rel.spc, forget);
  }
}

Status ImagePartition::TakeBlock(const WalRecord& record, const RecordView& view, int id) {
  const BlockRef& ref = *view.block(id);
  PageRef& latest = latest_.at(ref.tag);
  if (!ref.has_image) {
    // The page is another one now, and nobody knows which.
    pages_.Release(&latest);
    findings_.Skip("no image in the record");
    return {};
  }
  const Change change{ref.tag, record.start, record.end, view.rmid()};
  const bool have_image = latest.present();
  uint8_t* page = have_image ? pages_.Get(&latest) : pages_.Allocate(&latest);
  // The maps are extended with zeroes and without a record.
  static const std::array<uint8_t, kBlockSize> kZeroPage{};
  const bool is_map = ref.tag.fork == kVisibilityMapFork || ref.tag.fork == kFreeSpaceMapFork;
  const uint8_t* base = ref.initialises() ? nullptr
                        : have_image      ? page
                        : is_map          ? kZeroPage.data()
                                          : nullptr;
  const bool can_be_judged = base != nullptr || ref.initialises();
  bool answered = false;  // rebuilt_ is to be compared
  bool asked = false;     // the worker is to say
  if (!can_be_judged) {
    findings_.Skip("no earlier image of the block");
  } else if (engine_ == Engine::kWorker) {
    counts_.At(view.rmid(), view.header().info).chosen++;
    asked = true;
  } else {
    asked = ApplyNatively(view, id, change, base, &answered);
  }
  if (asked) batch_.Add(batch_.Begin(ref.tag, base), record.end, record.bytes);
  if (Status restored = RestoreImage(ref, page); !restored)
    return MakeError(
        restored.error().code,
        fmt::format("WAL record at {}: {}", record.start.ToString(), restored.error().message));
  SetPageLsn(page, record.end);
  if (answered) Compare(change, rebuilt_, page);
  if (asked) {
    questions_.push_back({change, {}});
    std::memcpy(questions_.back().image.data(), page, kBlockSize);
  }
  return {};
}

// Returns whether a worker is to be asked.
bool ImagePartition::ApplyNatively(const RecordView& view, int id, const Change& change,
                                   const uint8_t* base, bool* answered) {
  if (base != nullptr) std::memcpy(rebuilt_, base, kBlockSize);
  const NativeResult result = ApplyNative(view, id, change.end, rebuilt_, base != nullptr);
  ChangeCounts& counts = counts_.At(view.rmid(), view.header().info);
  *answered = result == NativeResult::kApplied;
  if (*answered) {
    counts.native++;
    return false;
  }
  const bool malformed = result == NativeResult::kMalformed;
  (malformed ? counts.malformed : counts.unsupported)++;
  if (engine_ != Engine::kNative) return true;
  if (malformed) {
    Report(change, false, std::nullopt,
           "the native engine refuses the record: it does not fit the page");
    return false;
  }
  const char* operation = OperationName(view.rmid(), view.header().info);
  findings_.Skip(fmt::format("not supported by the native engine: {} {}",
                             RmgrDisplayName(view.rmid()), operation ? operation : "(unknown)"));
  return false;
}

void ImagePartition::Compare(const Change& change, uint8_t* rebuilt, const uint8_t* image) {
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
  ASSIGN_OR_RETURN(
      auto reader,
      WalReader::Open({.directory = options_.wal, .from = {}, .to = {}, .timeline = {}}));
  const uint32_t count = Distributor::PartitionsFor(options_.jobs, options_.memory);
  MemoryBudget memory(MemoryForPages(options_));
  std::vector<std::unique_ptr<ImagePartition>> partitions;
  std::vector<Partition*> pointers;
  for (uint32_t number = 0; number < count; number++) {
    partitions.push_back(std::make_unique<ImagePartition>(options_, number, count, &memory));
    pointers.push_back(partitions.back().get());
  }
  Distributor distributor(options_, reader->version(), pointers);
  Status done = ReadAll(reader.get(), &distributor, count);
  if (done) done = distributor.Finish();
  if (!done) return tl::unexpected(done.error());
  for (const auto& partition : partitions) partition->AddTo(&result_);
  for (const RmgrCounts& counts : result_.by_rmgr) result_.images_compared += counts.rebuilt;
  result_.end = reader->end_of_wal();
  result_.wal_bytes = reader->bytes_read();
  RETURN_IF_ERROR(DescribeLastRecords(options_.wal, {}, &result_.mismatches));
  result_.elapsed_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return std::move(result_);
}

Status ImageVerifier::ReadAll(WalReader* reader, Distributor* distributor, uint32_t partitions) {
  RecordView view(reader->version());
  Targets targets;
  bool any_checked = false;
  for (;;) {
    ASSIGN_OR_RETURN(auto wal, reader->Next());
    if (!wal) break;
    RETURN_IF_ERROR(ParseRecord(*wal, &view));
    if (result_.records++ == 0) result_.start = wal->start;
    any_checked |= (view.header().info & kInfoCheckConsistency) != 0;
    FindTargets(view, partitions, false, &targets);
    RETURN_IF_ERROR(distributor->Send(*wal, view, targets));
    if (options_.progress && result_.records % 4096 == 0)
      options_.progress({"reading WAL", reader->bytes_read(), reader->bytes_total()});
  }
  if (any_checked) return {};
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("the WAL in {} carries no images to compare with: write it with "
                               "wal_consistency_checking = 'all', or verify with --base-backup",
                               options_.wal));
}

}  // namespace

Result<VerifyResult> VerifyImages(const VerifyOptions& options) {
  return ImageVerifier(options).Run();
}

}  // namespace neon_redo

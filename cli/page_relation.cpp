// Blocks are rebuilt by several threads, which share the files of the index, and written where they belong.
#include "cli/page_relation.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "cli/absent_blocks.h"
#include "cli/base_content.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cli/index_options.h"
#include "cli/page_print.h"
#include "cli/progress_bar.h"
#include "cli/relation_output.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/consistent.h"
#include "cpp_core/index/fork_size.h"
#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/page_words/page_text.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/rmgr.h"

namespace neon_redo::cli {

namespace {

constexpr uint32_t kBlocksOfItem = 32;  // rebuilt and written at once; divides kBlocksPerFile
constexpr size_t kMostFailures = 1000;

// What one thread needs; the last members are destroyed first.
struct Lane {
  std::unique_ptr<WalIndex> index;
  std::unique_ptr<ChangeSource> source;
  std::unique_ptr<PageReader> reader;
};

struct Totals {
  std::atomic<uint32_t> done{0};  // blocks
  std::atomic<uint64_t> changes{0};
  std::atomic<uint64_t> by_worker{0};
  std::atomic<uint32_t> unwritten{0};  // blocks that WAL has nothing of
};

class RelationWriter {
 public:
  RelationWriter(const PageSources& sources, const RelationRequest& request)
      : sources_(sources), request_(request) {}

  Outcome Run();

 private:
  Status Open();
  Status CheckBackupIsComplete();
  Result<uint32_t> FindSize();
  void OpenLanes(uint32_t blocks);
  Status RebuildItem(size_t lane, uint32_t first);
  Status RebuildBlock(Lane* lane, uint32_t block, uint8_t* page);
  Status TakeAbsent(uint32_t block);
  Result<bool> MayHaveGaps();
  Status CheckSizesOfBackup();
  Outcome FailedBlocks() const;
  void Print(double seconds) const;

  const PageSources& sources_;
  const RelationRequest& request_;
  std::optional<PageInputs> inputs_;
  WorkerOptions worker_;
  Lsn lsn_;  // the request's, or the end of WAL
  std::vector<Lane> lanes_;
  uint32_t blocks_ = 0;
  std::unique_ptr<RelationOutput> output_;
  Totals totals_;
  ProgressBar bar_{true};
  mutable std::mutex mutex_;
  std::map<uint32_t, std::string> failures_;  // by block
  AbsentBlocks absent_;
  bool may_have_gaps_ = false;
};

PageKey BlockKey(const RelationRequest& request, uint32_t block) {
  return PageKey::OfBlock({request.rel, request.fork, block});
}

Status RelationWriter::Open() {
  if (!sources_.restore_command.empty())
    return MakeError(
        ErrorCode::kUnsupported,
        "a whole relation needs an index of the WAL, and a restore command cannot list "
        "its archive: give the archive's directory by --wal");
  ASSIGN_OR_RETURN(inputs_, OpenInputs(sources_, request_.rel.spc));
  ASSIGN_OR_RETURN(worker_, WorkerOf(sources_, *inputs_));
  ASSIGN_OR_RETURN(auto changes,
                   OpenPageChanges(sources_, *inputs_, BlockKey(request_, 0), request_.lsn));
  lsn_ = request_.lsn == kEndOfWal ? changes.index->end() : request_.lsn;
  lanes_.push_back({std::move(changes.index), std::move(changes.source), nullptr});
  return CheckBackupIsComplete();
}

// While a backup was taken, its files had sizes of different moments.
Status RelationWriter::CheckBackupIsComplete() {
  if (!inputs_->backup) return {};
  ASSIGN_OR_RETURN(const auto from,
                   ConsistentFrom(lanes_[0].index.get(), inputs_->start, inputs_->consistent_at));
  if (from && *from <= lsn_) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("the base backup was not complete at {}, so that no relation's size is "
                  "known then: an earlier backup is needed",
                  lsn_.ToString()));
}

Result<uint32_t> RelationWriter::FindSize() {
  BaseForkSize base;
  if (inputs_->backup) {
    const ControlData& control = inputs_->control;
    base = ContentOf(*inputs_->backup, *control.version, control.checksums).blocks;
  }
  ForkSizes sizes(lanes_[0].index.get(), lanes_[0].source.get(), base, inputs_->start);
  ASSIGN_OR_RETURN(const auto size, sizes.Read(request_.rel, request_.fork, lsn_));
  if (!size.blocks) return MakeError(ErrorCode::kNotFound, size.absence);
  return *size.blocks;
}

void RelationWriter::OpenLanes(uint32_t blocks) {
  const size_t items = (blocks + kBlocksOfItem - 1) / kBlocksOfItem;
  const size_t count = std::clamp<size_t>(items, 1, static_cast<size_t>(sources_.jobs));
  const Lsn from = inputs_->backup ? inputs_->start : Lsn();
  while (lanes_.size() < count) lanes_.push_back({lanes_[0].index->Share(), nullptr, nullptr});
  for (Lane& lane : lanes_) {
    lane.source = std::make_unique<IndexedChanges>(lane.index.get(), from,
                                                   inputs_->track_commit_timestamp, count);
    lane.reader = std::make_unique<PageReader>(lane.source.get(), BasePagesOf(*inputs_), worker_);
  }
}

// Whether more blocks in a row than a table's may have been added without a record. A hash index gets its
// buckets by halves of its size, and a visibility map a block of zeroes for each block of bits in between.
Result<bool> RelationWriter::MayHaveGaps() {
  if (request_.fork != kMainFork) return true;
  const auto meta = lanes_[0].reader->ReadIfThere(BlockKey(request_, 0), lsn_);
  if (meta) return *meta && GuessResourceManager((*meta)->page.data()) == kRmHash;
  const ErrorCode code = meta.error().code;
  if (IsShortage(code) || code == ErrorCode::kIo) return tl::unexpected(meta.error());
  return false;  // the block is among those that cannot be rebuilt
}

// A block that was never written to stays zeroes, as the server has it.
Status RelationWriter::TakeAbsent(uint32_t block) {
  totals_.unwritten++;
  if (may_have_gaps_) return {};
  const std::lock_guard lock(mutex_);
  const BlockRun run = absent_.Add(block);
  if (run.size() <= kMostAbsentInARow) return {};
  return MakeError(
      ErrorCode::kNotFound,
      fmt::format(
          "blocks {}-{} of {}, and perhaps more, are neither in the base backup nor made by "
          "the WAL: files of the backup are missing or too short; another backup is needed",
          run.first, run.last, blocks_));
}

// Pages that a file of the backup has lost are no zeroes. A data directory may have the manifest of the
// backup that it was made from.
Status RelationWriter::CheckSizesOfBackup() {
  if (!inputs_->backup) return {};
  ASSIGN_OR_RETURN(const auto manifest, inputs_->backup->Manifest());
  if (!manifest || std::none_of(manifest->wal_ranges.begin(), manifest->wal_ranges.end(),
                                [&](const auto& range) { return range.start == inputs_->start; }))
    return {};
  ASSIGN_OR_RETURN(const auto list, inputs_->backup->ListData());
  for (const ManifestFile& file : manifest->files) {
    const auto tag = pg::ParseRelationPath(*inputs_->control.version, file.path);
    if (!tag || tag->rel != request_.rel || tag->fork != request_.fork) continue;
    const auto there = list.files.find(file.path);
    const uint64_t size = there == list.files.end() ? 0 : there->second.size;
    if (size < file.size)
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("file \"{}\" of the base backup has {} bytes instead of {}, and the WAL does "
                      "not make all of its pages: another backup is needed",
                      file.path, size, file.size));
  }
  return {};
}

// An error of the machine ends all; one of the page is kept.
Status RelationWriter::RebuildBlock(Lane* lane, uint32_t block, uint8_t* page) {
  const PageKey key = BlockKey(request_, block);
  auto at = lane->reader->ReadIfThere(key, lsn_);
  if (!at) {
    const ErrorCode code = at.error().code;
    if (IsShortage(code) || code == ErrorCode::kIo) return tl::unexpected(at.error());
    const std::lock_guard lock(mutex_);
    failures_.emplace(block, at.error().message);
    if (failures_.size() < kMostFailures) return {};
    return MakeError(ErrorCode::kNotFound, "too many pages cannot be rebuilt");
  }
  if (!*at) return TakeAbsent(block);
  totals_.changes += (*at)->changes;
  totals_.by_worker += (*at)->by_worker;
  std::copy((*at)->page.begin(), (*at)->page.end(), page);
  StampChecksum(key, page);
  return {};
}

Status RelationWriter::RebuildItem(size_t lane, uint32_t first) {
  const uint32_t count = std::min(kBlocksOfItem, blocks_ - first);
  std::vector<uint8_t> pages(count * kBlockSize);
  for (uint32_t i = 0; i < count; i++)
    RETURN_IF_ERROR(RebuildBlock(&lanes_[lane], first + i, pages.data() + i * kBlockSize));
  RETURN_IF_ERROR(output_->Write(first, pages));
  totals_.done += count;
  if (lane == 0) bar_.Show("rebuilding pages", totals_.done, blocks_);
  return {};
}

Outcome RelationWriter::FailedBlocks() const {
  std::vector<uint32_t> blocks;
  for (const auto& [block, message] : failures_) blocks.push_back(block);
  const bool all = failures_.size() < kMostFailures;
  return Fail(fmt::format("{} {} of {} cannot be rebuilt{}; of block {}: {}",
                          blocks.size() == 1 ? "block" : "blocks", RunsText(blocks), blocks_,
                          all ? "" : ", and perhaps more", failures_.begin()->first,
                          failures_.begin()->second));
}

void RelationWriter::Print(double seconds) const {
  const uint64_t bytes = uint64_t{blocks_} * kBlockSize;
  const RelFileNode& rel = request_.rel;
  const std::string name = fmt::format("{}/{}/{}", rel.spc, rel.db, rel.rel);
  if (request_.json) {
    const nlohmann::ordered_json out = {{"relation", name},
                                        {"fork", ForkName(request_.fork)},
                                        {"lsn", lsn_.ToString()},
                                        {"blocks", blocks_},
                                        {"bytes", bytes},
                                        {"changes", totals_.changes.load()},
                                        {"by_worker", totals_.by_worker.load()},
                                        {"unwritten_blocks", totals_.unwritten.load()},
                                        {"seconds", seconds},
                                        {"files", output_->names()}};
    fmt::print("{}\n", JsonText(out));
    return;
  }
  fmt::print("{} ({} fork) at {}\n", name, ForkName(request_.fork), lsn_.ToString());
  fmt::print("blocks:       {}, {} bytes\n", blocks_, bytes);
  fmt::print(
      "changes:      {}{}\n", totals_.changes.load(),
      totals_.by_worker ? fmt::format(", {} of them by a worker", totals_.by_worker.load()) : "");
  if (totals_.unwritten > 0)
    fmt::print("of zeroes:    {} blocks, which the server has added without a record\n",
               totals_.unwritten.load());
  for (const std::string& file : output_->names())
    fmt::print("written to:   {}\n", PrintableLines(file));
  fmt::print("time:         {:.1f} s, {:.0f} pages/s\n", seconds,
             blocks_ / std::max(seconds, 1e-3));
}

Outcome RelationWriter::Run() {
  RETURN_IF_ERROR(Open());
  ASSIGN_OR_RETURN(blocks_, FindSize());
  ASSIGN_OR_RETURN(output_, RelationOutput::Create(request_.output, blocks_));
  OpenLanes(blocks_);
  if (blocks_ > kMostAbsentInARow) {
    ASSIGN_OR_RETURN(may_have_gaps_, MayHaveGaps());
  }
  const auto began = std::chrono::steady_clock::now();
  const Status status = ForEachInParallel(
      lanes_.size(), (blocks_ + kBlocksOfItem - 1) / kBlocksOfItem, [&](size_t lane, size_t item) {
        return RebuildItem(lane, static_cast<uint32_t>(item) * kBlocksOfItem);
      });
  bar_.Clear();
  for (Lane& lane : lanes_) SayNotes(lane.index->TakeNotes());
  if (!failures_.empty()) return FailedBlocks();
  if (!status) return tl::unexpected(Failure(status.error()));
  if (totals_.unwritten > 0) RETURN_IF_ERROR(CheckSizesOfBackup());
  RETURN_IF_ERROR(output_->Finish());
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
  Print(passed.count());
  return kExitFine;
}

}  // namespace

Outcome WriteRelation(const PageSources& sources, const RelationRequest& request) {
  return RelationWriter(sources, request).Run();
}

}  // namespace neon_redo::cli

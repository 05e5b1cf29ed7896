// WAL is read once; for every block its changes are kept, and all earlier ones dropped when a
// record makes the page anew. At the end each block is rebuilt from its base and changes, and
// compared. The base is the block in the base backup. An online backup copies pages while they are
// written; that a copy may be torn or newer than the backup's start does no harm, for the same
// reason as in recovery: full_page_writes is forced on during a backup, so the first record that
// changes a block brings its image, and redo skips records older than the page.
//
// What happens to whole relations (created, truncated, dropped) makes the blocks forget, as it
// makes recovery forget. What remains at the end must be on disk; a block that is not there is a
// mismatch.
//
// The visibility map: see BlockChange. Records that set bits go to a worker, clearings happen here
// in between, so a map page may need several rounds of requests. The free space map is not logged
// and is skipped.
#include "cpp_core/verify/cluster.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <set>

#include "cpp_core/page/mask.h"
#include "cpp_core/page/page.h"
#include "cpp_core/verify/block_history.h"
#include "cpp_core/verify/compare.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/page_map.h"
#include "cpp_core/verify/visibility_map.h"
#include "cpp_core/wal/describe.h"
#include "cpp_core/wal/reader.h"

namespace neon_redo {
namespace {

class ClusterVerifier {
 public:
  ClusterVerifier(const VerifyOptions& options, const std::string& base_backup,
                  const std::string& data_directory)
      : options_(options),
        base_directory_(base_backup),
        data_directory_(data_directory),
        base_(base_backup),
        data_(data_directory) {}

  Result<VerifyResult> Run();

 private:
  Status CheckDirectories();
  Status ReadAll();
  Status Take(const WalRecord& wal);
  void TakeEvent(const StorageEvent& event);
  void TruncateMap(const RelFileNode& rel, uint32_t heap_blocks);
  RecordPtr Store(const WalRecord& wal);
  void Rebuild(bool final);
  bool RebuildRound(bool final);
  Status FindBase(const BlockTag& tag, uint32_t base_end, BlockHistory* block);
  void Consume(const RedoTask& task, const uint8_t* page, const Status& status);
  void Finish(const BlockTag& tag, BlockHistory* block);
  void Compare(const BlockTag& tag, const BlockHistory& block);
  void Report(const BlockTag& tag, const BlockHistory& block, std::optional<uint32_t> offset,
              std::string problem);
  void Progress(const char* phase, uint64_t done, uint64_t total) {
    if (options_.progress) options_.progress({phase, done, total});
  }

  const VerifyOptions& options_;
  const std::string base_directory_, data_directory_;
  RelationFiles base_, data_;
  ControlData control_;
  BackupLabel label_;

  VerifyResult result_;
  Findings findings_;
  std::atomic<uint64_t> pages_compared_{0};
  // Bytes of records that some block still waits for. Before blocks_: it outlives them.
  std::atomic<uint64_t> pending_bytes_{0};
  PageMap<BlockHistory> blocks_;
  std::set<std::pair<uint32_t, uint32_t>> copied_databases_;  // tablespace, database
  RecordView view_;
  std::vector<StorageEvent> events_;
  bool final_ = false;              // Consume compares what is complete
  std::unique_ptr<RedoCrew> crew_;  // last: its threads use all of the above
};

Result<VerifyResult> ClusterVerifier::Run() {
  const auto started = std::chrono::steady_clock::now();
  if (Status fine = CheckDirectories(); !fine) return tl::unexpected(fine.error());
  auto crew = RedoCrew::Start(options_.worker, options_.jobs,
                              [this](const RedoTask& task, const uint8_t* page,
                                     const Status& status) { Consume(task, page, status); });
  if (!crew) return tl::unexpected(crew.error());
  crew_ = std::move(*crew);
  if (Status read = ReadAll(); !read) return tl::unexpected(read.error());
  Rebuild(true);
  result_.requests = crew_->submitted();
  crew_.reset();
  findings_.MoveTo(&result_);
  result_.pages_compared = pages_compared_;
  result_.elapsed_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return std::move(result_);
}

Status ClusterVerifier::CheckDirectories() {
  auto control = ReadControlData(data_directory_);
  if (!control) return tl::unexpected(control.error());
  control_ = *control;
  if (!control_.shut_down)
    return MakeError(
        ErrorCode::kInvalidArgument,
        control_.state == "shut down in recovery"
            ? fmt::format("the cluster in {} is a standby, whose pages stand where replay stopped: "
                          "promote it and stop it, or compare with the primary",
                          data_directory_)
            : fmt::format("the cluster in {0} is not shut down (state: {1}), so its pages are not "
                          "all written: stop it with pg_ctl stop -D {0} (after a crash, start it "
                          "first)",
                          data_directory_, control_.state));
  auto label = ReadBackupLabel(base_directory_);
  if (!label) return tl::unexpected(label.error());
  label_ = *label;
  auto base = ReadControlData(base_directory_);
  if (!base) return tl::unexpected(base.error());
  if (base->system_identifier != control_.system_identifier)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} is not a backup of the cluster in {}: system identifiers {} "
                                 "and {}",
                                 base_directory_, data_directory_, base->system_identifier,
                                 control_.system_identifier));
  return {};
}

Status ClusterVerifier::ReadAll() {
  auto opened = WalReader::Open(
      {.directory = options_.wal, .from = label_.start, .to = {}, .timeline = control_.timeline});
  if (!opened) return tl::unexpected(opened.error());
  WalReader& reader = **opened;
  if (reader.system_identifier() != control_.system_identifier)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the WAL in {} is of another cluster than {}: system identifiers "
                                 "{} and {}",
                                 options_.wal, data_directory_, reader.system_identifier(),
                                 control_.system_identifier));
  const uint64_t total = control_.checkpoint - label_.start;
  result_.start = label_.start;
  Lsn last;
  while (last < control_.checkpoint) {
    auto wal = reader.Next();
    if (!wal) return tl::unexpected(wal.error());
    if (!*wal)
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("the WAL in {} ends at {} ({}), but the cluster in {} was shut "
                      "down by the checkpoint at {}: add the missing segments",
                      options_.wal, reader.end_of_wal().ToString(), reader.end_reason(),
                      data_directory_, control_.checkpoint.ToString()));
    last = (*wal)->start;
    if (Status taken = Take(**wal); !taken) return taken;
    if (pending_bytes_ > options_.pending_limit) Rebuild(false);
    if (result_.records % 1024 == 0) Progress("reading WAL", last - label_.start, total);
  }
  result_.end = reader.end_of_wal();
  result_.wal_bytes = reader.bytes_read();
  if (last != control_.checkpoint)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the WAL in {} has no record at {}, where {} has its shutdown "
                                 "checkpoint: it is not this cluster's WAL",
                                 options_.wal, control_.checkpoint.ToString(), data_directory_));
  return {};
}

Status ClusterVerifier::Take(const WalRecord& wal) {
  const auto fault_at = [&](const char* what) {
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", wal.start.ToString(), what));
  };
  if (RecordFault fault = view_.Parse(wal.bytes)) return fault_at(fault.what);
  if (!ReadStorageEvents(view_, &events_)) return fault_at("its data is too short");
  result_.records++;
  for (const StorageEvent& event : events_) TakeEvent(event);
  RecordPtr record;
  for (int id = 0; id <= view_.max_block_id(); id++) {
    const BlockRef* ref = view_.block(id);
    if (ref == nullptr) continue;
    if (ref->tag.fork == kFreeSpaceMapFork) {
      findings_.Skip("free space map");
      continue;
    }
    if (!record) record = Store(wal);
    blocks_.at(ref->tag).Add(record, view_.header(), *ref);
  }
  return {};
}

RecordPtr ClusterVerifier::Store(const WalRecord& wal) {
  pending_bytes_ += wal.bytes.size();
  return RecordPtr(new StoredRecord{wal.start, wal.end, {wal.bytes.begin(), wal.bytes.end()}},
                   [counter = &pending_bytes_](const StoredRecord* record) {
                     *counter -= record->bytes.size();
                     delete record;
                   });
}

void ClusterVerifier::TakeEvent(const StorageEvent& event) {
  const RelFileNode& rel = event.rel;
  switch (event.kind) {
    case StorageEvent::kCreateFork:
      // A relation's file node is used again once the old relation is gone.
      findings_.Skip("relation dropped", event.fork == kMainFork
                                             ? blocks_.Drop(rel)
                                             : blocks_.Truncate(rel, event.fork, 0));
      break;
    case StorageEvent::kTruncateFork:
      if (event.fork == kVisibilityMapFork)
        TruncateMap(rel, event.block);
      else
        findings_.Skip("relation truncated", blocks_.Truncate(rel, event.fork, event.block));
      break;
    case StorageEvent::kDropRelation:
      findings_.Skip("relation dropped", blocks_.Drop(rel));
      break;
    case StorageEvent::kCopyDatabase:
      copied_databases_.insert({rel.spc, rel.db});
      [[fallthrough]];
    case StorageEvent::kDropDatabase:
      findings_.Skip("database dropped", blocks_.DropDatabase(rel.db, rel.spc));
      break;
    case StorageEvent::kClearAllFrozen:
    case StorageEvent::kClearVisible:
      blocks_.at({rel, kVisibilityMapFork, MapPageOf(event.block)})
          .AddClear(event.kind, event.block, view_.rmid());
      break;
  }
}

void ClusterVerifier::TruncateMap(const RelFileNode& rel, uint32_t heap_blocks) {
  const uint32_t last = MapPageOf(heap_blocks);
  const bool is_cut = MapPageIsCut(heap_blocks);
  findings_.Skip("relation truncated", blocks_.Truncate(rel, kVisibilityMapFork, last + is_cut));
  if (is_cut)
    blocks_.at({rel, kVisibilityMapFork, last})
        .AddClear(StorageEvent::kTruncateFork, heap_blocks, view_.rmid());
}

// Rebuilds all blocks with what is known of them so far; when final, compares them as well.
void ClusterVerifier::Rebuild(bool final) {
  final_ = final;
  while (RebuildRound(final)) {
  }
  if (final) return;
  for (auto& [rel, forks] : blocks_.relations()) {
    for (auto& [fork, pages] : forks) {
      for (auto& [number, block] : pages.blocks) {
        if (!block.last) continue;
        RecordView view;
        if (!view.Parse(block.last->bytes))
          block.last_description = DescribeRecord(view, block.last->start);
        block.last.reset();
      }
    }
  }
}

// One task for each block that has changes. Returns whether some have more.
bool ClusterVerifier::RebuildRound(bool final) {
  bool more = false;
  uint64_t done = 0, total = 0;
  for (auto& [rel, forks] : blocks_.relations())
    for (auto& [fork, pages] : forks) total += pages.blocks.size();
  for (auto& [rel, forks] : blocks_.relations()) {
    for (auto& [fork, pages] : forks) {
      for (auto& [number, block] : pages.blocks) {
        if (++done % 256 == 0) Progress(final ? "comparing pages" : "rebuilding", done, total);
        if (block.done) continue;
        const BlockTag tag{rel, fork, number};
        if (block.NeedsBase()) {
          if (Status found = FindBase(tag, pages.base_end, &block); !found)
            block.failure = found.error().message;
        }
        std::optional<RedoTask> task = block.NextTask(tag);
        more |= !block.changes.empty();
        if (task)
          crew_->Submit(std::move(*task));
        else if (final)
          Finish(tag, &block);
      }
    }
  }
  crew_->Drain();
  return more;
}

Status ClusterVerifier::FindBase(const BlockTag& tag, uint32_t base_end, BlockHistory* block) {
  block->settled = true;
  if (tag.block < base_end && !copied_databases_.contains({tag.rel.spc, tag.rel.db})) {
    auto page = std::make_shared<Page>();
    auto found = base_.Read(tag, page->data());
    if (!found) return tl::unexpected(found.error());
    if (*found == RelationFiles::Found::kPage) block->page = page;
  }
  // The map is extended with zeroes and without a record.
  if (!block->page && tag.fork == kVisibilityMapFork && block->last_lsn.valid())
    block->page = std::make_shared<Page>();
  return {};
}

// On a crew thread. The main thread is in RebuildRound: it changes no map, and leaves a block alone
// once it has submitted its task.
void ClusterVerifier::Consume(const RedoTask& task, const uint8_t* page, const Status& status) {
  BlockHistory& block = *blocks_.find(task.tag);
  if (status) {
    auto rebuilt = std::make_shared<Page>();
    std::memcpy(rebuilt->data(), page, kBlockSize);
    block.page = std::move(rebuilt);
  } else {
    block.failure = status.error().message;
    block.changes.clear();
  }
  if (final_ && block.changes.empty()) Finish(task.tag, &block);
}

void ClusterVerifier::Finish(const BlockTag& tag, BlockHistory* block) {
  block->done = true;
  if (!block->failure.empty()) {
    if (copied_databases_.contains({tag.rel.spc, tag.rel.db}))
      findings_.Skip("database created by file copy");
    else
      Report(tag, *block, std::nullopt, block->failure);
  } else if (block->map_is_lost) {
    findings_.Skip("visibility map copied by CREATE DATABASE");
  } else if (block->page) {
    Compare(tag, *block);
  }
  block->page.reset();
  block->last.reset();
}

void ClusterVerifier::Compare(const BlockTag& tag, const BlockHistory& block) {
  Page rebuilt = *block.page, disk;
  auto found = data_.Read(tag, disk.data());
  if (!found) return Report(tag, block, std::nullopt, found.error().message);
  if (*found == RelationFiles::Found::kNoFile)
    return Report(tag, block, std::nullopt, "the file is missing on disk");
  if (*found == RelationFiles::Found::kPastEnd)
    return Report(tag, block, std::nullopt, "the block is past the end of the file on disk");
  pages_compared_++;
  if (control_.checksums && !PageView(disk.data()).is_new()) {
    const uint16_t stored = PageView(disk.data()).checksum();
    const uint16_t computed = PageChecksum(disk.data(), tag.block);
    if (stored != computed) {
      const auto offset =
          CompareWithDisk(block.mask_rmid, tag, block.hint_lsn, rebuilt.data(), disk.data());
      return Report(tag, block, offset,
                    fmt::format("the page on disk has checksum {:04X}, its content {:04X}", stored,
                                computed));
    }
  }
  const uint8_t rmid =
      block.mask_rmid != 0 ? block.mask_rmid : GuessResourceManager(rebuilt.data());
  if (auto offset = CompareWithDisk(rmid, tag, block.hint_lsn, rebuilt.data(), disk.data()))
    return Report(tag, block, offset, "the page on disk differs from the rebuilt one");
  findings_.Equal(block.last_rmid);
}

void ClusterVerifier::Report(const BlockTag& tag, const BlockHistory& block,
                             std::optional<uint32_t> offset, std::string problem) {
  std::string description = block.last_description;
  RecordView view;
  if (block.last && !view.Parse(block.last->bytes))
    description = DescribeRecord(view, block.last->start);
  findings_.Different(block.last_rmid, block.failure.empty(),
                      {tag, block.last_lsn, offset, std::move(problem), std::move(description)});
}

}  // namespace

Result<VerifyResult> VerifyCluster(const VerifyOptions& options, const std::string& base_backup,
                                   const std::string& data_directory) {
  return ClusterVerifier(options, base_backup, data_directory).Run();
}

}  // namespace neon_redo

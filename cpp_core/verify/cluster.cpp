// WAL is read once, and every change is applied to its page as it comes (rebuilder.h). The base is
// the block in the base backup. An online backup copies pages while they are written; that a copy
// may be torn or newer than the backup's start does no harm, for the same reason as in recovery:
// full_page_writes is forced on during a backup, so the first record that changes a block brings
// its image, and redo skips records older than the page.
//
// What happens to whole relations (created, truncated, dropped) makes the blocks forget, as it
// makes recovery forget. What remains at the end must be on disk; a block that is not there is a
// mismatch. The free space map is not logged and is skipped.
//
// Blocks that the native engine has spoilt are rebuilt in a second pass, by a worker alone.
#include "cpp_core/verify/cluster.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <set>

#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/distributor.h"
#include "cpp_core/verify/last_records.h"
#include "cpp_core/verify/page_check.h"
#include "cpp_core/verify/rebuilder.h"
#include "cpp_core/verify/targets.h"
#include "cpp_core/wal/reader.h"

namespace neon_redo {
namespace {

// How many blocks are to be compared, and are, over all partitions.
struct CompareProgress {
  std::atomic<uint64_t> done{0}, total{0};
};

class ClusterPartition : public Partition {
 public:
  ClusterPartition(const Rebuilder::Options& options, const std::string& data_directory,
                   bool checksums, const ProgressFunction& progress, CompareProgress* compared)
      : rebuilder(options),
        check(data_directory, checksums),
        progress_(progress),
        compared_(compared) {}

  Status Take(const WalRecord& record, const RecordView& view, Lane* lane) override {
    return rebuilder.Take(record, view, &lane->worker);
  }

  Status Finish(Lane* lane) override {
    if (Status flushed = rebuilder.Flush(&lane->worker); !flushed) return flushed;
    uint64_t done = 0;
    for (Rebuilder::Blocks::Entry* entry : rebuilder.blocks().Sorted()) {
      if (entry->value.spoilt)
        spoilt.push_back(entry->tag);
      else
        check.Check(&rebuilder, entry);
      if (++done % 256 != 0) continue;
      compared_->done += 256;
      if (lane->is_callers && progress_)
        progress_({"comparing pages", compared_->done, compared_->total});
    }
    return rebuilder.pages().status();
  }

  Rebuilder rebuilder;
  PageCheck check;
  std::vector<BlockTag> spoilt;

 private:
  const ProgressFunction& progress_;
  CompareProgress* const compared_;
};

class ClusterVerifier {
 public:
  ClusterVerifier(const VerifyOptions& options, const std::string& base_backup,
                  const std::string& data_directory)
      : options_(options), base_directory_(base_backup), data_directory_(data_directory) {}

  Result<VerifyResult> Run();

 private:
  Status CheckDirectories();
  Result<std::set<BlockTag>> Pass(Engine engine, const std::set<BlockTag>* only);
  Status ReadAll(Distributor* distributor, uint32_t partitions, bool first_pass);
  Status CheckReader(const WalReader& reader) const;
  Status Send(const WalRecord& record, Distributor* distributor, uint32_t partitions);

  const VerifyOptions& options_;
  const std::string base_directory_, data_directory_;
  ControlData control_;
  BackupLabel label_;
  VerifyResult result_;
  uint64_t free_space_map_ = 0;  // references to blocks of it
  RecordView view_;
  std::vector<StorageEvent> events_;
};

Result<VerifyResult> ClusterVerifier::Run() {
  const auto started = std::chrono::steady_clock::now();
  if (Status fine = CheckDirectories(); !fine) return tl::unexpected(fine.error());
  auto spoilt = Pass(options_.engine, nullptr);
  if (spoilt && !spoilt->empty()) spoilt = Pass(Engine::kWorker, &*spoilt);
  if (!spoilt) return tl::unexpected(spoilt.error());
  if (free_space_map_ > 0) result_.skipped["free space map"] = free_space_map_;
  Status described = DescribeLastRecords(options_.wal, control_.timeline, &result_.mismatches);
  if (!described) return tl::unexpected(described.error());
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

// Returns the blocks that need another pass.
Result<std::set<BlockTag>> ClusterVerifier::Pass(Engine engine, const std::set<BlockTag>* only) {
  const uint32_t count = Distributor::PartitionsFor(options_.jobs);
  MemoryBudget memory(options_.memory);
  CompareProgress compared;
  std::vector<std::unique_ptr<ClusterPartition>> partitions;
  std::vector<Partition*> pointers;
  for (uint32_t number = 0; number < count; number++) {
    partitions.push_back(std::make_unique<ClusterPartition>(
        Rebuilder::Options{engine, base_directory_, number, count, only, &memory,
                           options_.spill_directory},
        data_directory_, control_.checksums, options_.progress, &compared));
    pointers.push_back(partitions.back().get());
  }
  Distributor distributor(options_, pointers);
  if (Status read = ReadAll(&distributor, count, only == nullptr); !read)
    return tl::unexpected(read.error());
  // A guess while other threads still add blocks; it is for a progress bar.
  compared.total = result_.wal_bytes / kBlockSize;
  if (Status finished = distributor.Finish(); !finished) return tl::unexpected(finished.error());
  std::set<BlockTag> spoilt;
  for (const auto& partition : partitions) {
    partition->check.findings().AddTo(&result_);
    result_.pages_compared += partition->check.pages_compared();
    result_.pages_spilled += partition->rebuilder.pages().spills();
    result_.engines.Add(partition->rebuilder.counts());
    spoilt.insert(partition->spoilt.begin(), partition->spoilt.end());
    if (only != nullptr) continue;  // counted by the first pass
    for (const auto& [reason, blocks] : partition->rebuilder.forgotten())
      if (blocks > 0) result_.skipped[reason] += blocks;
  }
  return spoilt;
}

Status ClusterVerifier::CheckReader(const WalReader& reader) const {
  if (reader.system_identifier() == control_.system_identifier) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the WAL in {} is of another cluster than {}: system identifiers "
                               "{} and {}",
                               options_.wal, data_directory_, reader.system_identifier(),
                               control_.system_identifier));
}

Status ClusterVerifier::ReadAll(Distributor* distributor, uint32_t partitions, bool first_pass) {
  auto opened = WalReader::Open(
      {.directory = options_.wal, .from = label_.start, .to = {}, .timeline = control_.timeline});
  if (!opened) return tl::unexpected(opened.error());
  WalReader& reader = **opened;
  if (Status fine = CheckReader(reader); !fine) return fine;
  const uint64_t total = control_.checkpoint - label_.start;
  Lsn last;
  uint64_t records = 0;
  free_space_map_ = 0;
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
    if (Status sent = Send(**wal, distributor, partitions); !sent) return sent;
    if (++records % 4096 == 0 && options_.progress)
      options_.progress(
          {first_pass ? "reading WAL" : "reading WAL again", last - label_.start, total});
  }
  if (last != control_.checkpoint)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the WAL in {} has no record at {}, where {} has its shutdown "
                                 "checkpoint: it is not this cluster's WAL",
                                 options_.wal, control_.checkpoint.ToString(), data_directory_));
  result_.start = label_.start;
  result_.end = reader.end_of_wal();
  result_.wal_bytes = reader.bytes_read();
  result_.records = records;
  return {};
}

Status ClusterVerifier::Send(const WalRecord& record, Distributor* distributor,
                             uint32_t partitions) {
  if (Status parsed = ParseRecord(record, &view_); !parsed) return parsed;
  for (int id = 0; id <= view_.max_block_id(); id++) {
    const BlockRef* ref = view_.block(id);
    free_space_map_ += ref != nullptr && ref->tag.fork == kFreeSpaceMapFork;
  }
  return distributor->Send(record, view_, TargetsOf(view_, partitions, true, &events_));
}

}  // namespace

Result<VerifyResult> VerifyCluster(const VerifyOptions& options, const std::string& base_backup,
                                   const std::string& data_directory) {
  return ClusterVerifier(options, base_backup, data_directory).Run();
}

}  // namespace neon_redo

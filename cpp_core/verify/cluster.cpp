// WAL is read once, and every change is applied to its page as it comes (page_replay.h). The base
// is the block in the base backup. An online backup copies pages while they are written. That a
// copy may be torn or newer than the backup's start does no harm, for the same reason as in recovery:
// full_page_writes is forced on during a backup, so the first record that changes a block brings
// its image, and redo skips records older than the page.
//
// What happens to whole relations (created, truncated, dropped) makes the blocks forget, as it
// makes recovery forget. What remains at the end must be on disk, and a block that is not there is
// a mismatch. The free space map is not logged and is skipped.
//
// What is no relation's page (slru_check.h, file_check.h) is taken by the thread that reads, in the
// first pass, from the few records that change such things.
//
// Blocks that the native engine has spoilt are rebuilt in a second pass, by a worker alone.
#include "neon_redo/verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/replay/page_replay.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/backup_proof.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/last_records.h"
#include "cpp_core/verify/options.h"
#include "cpp_core/verify/page_check.h"
#include "cpp_core/verify/replay_end.h"
#include "cpp_core/verify/slru_check.h"
#include "cpp_core/verify/two_phase_check.h"
#include "cpp_core/verify/unchanged_check.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {
namespace {

class ClusterConsumer : public PageConsumer {
 public:
  // relations: see ChangedCatalogs. reads_all: the base backup is read as a whole, and what cannot be
  // read in it is reported with it.
  ClusterConsumer(const PageCheck::Options& options, const CatalogRelations* const* relations,
                  bool reads_all)
      : check(options),
        catalogs(relations),
        base_(options.base_backup, options.version),
        version_(*options.version),
        reads_all_(reads_all),
        notes_changed_(reads_all && !options.data_directory.empty()) {}

  Result<bool> ReadBase(const BlockTag& tag, uint8_t* page) override {
    const auto found = base_.ReadOrFail(tag, page);
    // Not what happened to one block: the base is needed.
    const bool ends = !found && (!reads_all_ || IsShortage(found.error().code));
    if (ends && base_status_) base_status_ = tl::unexpected(found.error());
    return found;
  }

  Status Take(FinishedBlock* block) override {
    if (!base_status_) return base_status_;
    if (block->state() != PageState::kNone) {
      uint32_t& end = touched[{block->tag().rel, block->tag().fork, 0}];
      end = std::max(end, block->tag().block + 1);
    }
    if (notes_changed_)
      changed[{block->tag().rel, block->tag().fork, 0}].push_back(block->tag().block);
    const bool has_page = block->state() == PageState::kCurrent;
    catalogs.Take(block->tag(), has_page ? block->page() : nullptr, version_);
    ASSIGN_OR_RETURN(const bool was_sought, check.Check(block));
    if (was_sought) {
      uint32_t& end = sought[{block->tag().rel, block->tag().fork, 0}];
      end = std::max(end, block->tag().block + 1);
    }
    return {};
  }

  PageCheck check;
  ForkSizes touched, sought;  // see FileCheck::Expectations
  ChangedCatalogs catalogs;
  ChangedBlocks changed;

 private:
  RelationFiles base_;
  const pg::Version& version_;
  const bool reads_all_, notes_changed_;
  Status base_status_;
};

class ClusterVerifier {
 public:
  ClusterVerifier(const VerifyOptions& options, const std::string& base_backup,
                  const std::string& data_directory)
      : options_(options),
        base_directory_(base_backup),
        data_directory_(data_directory),
        slru_memory_(MemoryForPages(ReplayOptionsOf(options)) / 16),
        slrus_(base_backup, &slru_memory_, options.spill_directory),
        files_(base_backup, data_directory),
        proof_(options, base_directory_) {}

  Result<VerifyResult> Run();

 private:
  bool HasEnded(Lsn last) const {
    return compares() && (second_.start.valid() ? second_end_.valid() && last >= second_end_
                                                : last >= control_.checkpoint);
  }
  bool compares() const { return !data_directory_.empty(); }
  Status CheckDirectories();
  Status CheckData();
  Status FindWal();
  Status AddOwnWal();
  void TakeStandby();
  std::set<uint32_t> FindDropping() const;
  Status CheckTimeline();
  HintLogging Hints() const;
  Status TakeParameters(const Change& change, const WalRecord& record);
  Status CompareOthers();
  Status FinishBackup();
  Status CompareUnchanged();
  PageCheck::Options PageOptions() const;
  PageCheck::Server Server() const;
  Result<std::set<BlockTag>> Pass(Engine engine, const std::set<BlockTag>* only);
  void CountForgotten(const ReplayCounts& counts);
  void NameSkipsOfStandby();
  Status ReadAll(PageReplay* replay, bool first_pass);
  Status CheckEnd(const WalReader& reader, const ReplayEnd& replay_end, Lsn last) const;
  std::string EndReason(const WalReader& reader, const ReplayEnd& end) const;
  Status Take(const WalRecord& record, bool first_pass, PageReplay* replay);
  Status TakeOthers(const WalRecord& record);
  std::optional<uint32_t> Timeline() const;

  const VerifyOptions& options_;
  const std::string base_directory_, data_directory_;
  ControlData base_control_, control_;
  BackupLabel label_;
  BackupLabel second_{};  // of data_directory, when that is a base backup; else its LSN is 0
  VerifyResult result_;
  std::optional<WalSet> wal_;    // of result_.wal_directories; has a value after FindWal
  uint64_t free_space_map_ = 0;  // references to blocks of it
  std::optional<RecordView> view_;
  ChangeList others_;  // of the record, beyond its blocks
  // Of what is no relation's page.
  MemoryBudget slru_memory_;
  SlruCheck slrus_;
  FileCheck files_;
  TwoPhaseCheck two_phase_;
  BackupProof proof_;  // unless options_.quick
  std::optional<Ingest> ingest_;
  ForkSizes touched_, sought_;
  ChangedBlocks changed_;
  std::set<uint32_t> dropping_;  // databases that data_directory is dropping
  bool backup_ended_ = false;
  bool hints_changed_ = false;  // by a record
  bool restarted_ = false;      // the server was, perhaps after a crash
  bool switched_ = false;       // WAL begins a timeline
  bool of_standby_ = false;     // data_directory is a standby's, or a backup of one
  Lsn second_end_;              // start of the record that ends the second backup; 0: not seen yet
};

Result<VerifyResult> ClusterVerifier::Run() {
  const auto started = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(CheckDirectories());
  result_.version = control_.version;
  if (!options_.quick) RETURN_IF_ERROR(proof_.Read(base_control_, files_.base().forks));
  auto spoilt = Pass(options_.engine, nullptr);
  if (spoilt && !spoilt->empty()) spoilt = Pass(Engine::kWorker, &*spoilt);
  if (!spoilt) return tl::unexpected(spoilt.error());
  RETURN_IF_ERROR(slrus_.Compare(data_directory_, second_.start, ingest_->state(), &result_));
  if (!options_.quick) RETURN_IF_ERROR(FinishBackup());
  if (compares()) RETURN_IF_ERROR(CompareOthers());
  if (!options_.quick && compares()) RETURN_IF_ERROR(CompareUnchanged());
  if (of_standby_) NameSkipsOfStandby();
  ListInOrder(&result_);
  FindMisplaced(&result_);
  if (free_space_map_ > 0)
    result_.skipped[SkipName({SkipReason::kFreeSpaceMap}, nullptr)] = free_space_map_;
  RETURN_IF_ERROR(DescribeLastRecords(*wal_, Timeline(), &result_.mismatches));
  result_.elapsed_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return std::move(result_);
}

// What is neither a relation's page nor an SLRU's.
Status ClusterVerifier::CompareOthers() {
  CommitLog log(data_directory_, control_.oldest_xid, control_.next_xid);
  std::function<bool(const RelFileNode&)> is_lost;
  if (!options_.quick) is_lost = [this](const RelFileNode& rel) { return proof_.HasLost(rel); };
  RETURN_IF_ERROR(files_.Compare({.touched = touched_,
                                  .sought = sought_,
                                  .settled = second_.start,
                                  .log = &log,
                                  .may_be_prepared = two_phase_.HasPrepared(),
                                  .may_have_crashed = restarted_ || Server().is_another,
                                  .is_lost = std::move(is_lost),
                                  .dropping = &dropping_},
                                 &result_));
  return two_phase_.Compare(data_directory_, control_.next_full_xid, second_.start, &result_);
}

// What the base backup lacks, once it is known what WAL does.
Status ClusterVerifier::FinishBackup() {
  const auto next_xid = static_cast<uint32_t>(ingest_->state().next_xid);
  return proof_.Finish({.files = files_,
                        .slrus = &slrus_,
                        .two_phase = two_phase_,
                        .next_xid = next_xid != 0 ? next_xid : base_control_.next_xid},
                       &result_);
}

// What WAL does not change is as in the base backup.
Status ClusterVerifier::CompareUnchanged() {
  const UnchangedOptions options{PageOptions(), Server(), options_.jobs, options_.progress};
  const BackupDamage damage{
      .has_page = [this](const BlockTag& tag) { return proof_.IsBad(tag); },
      .has_file = [this](const std::string& path) { return proof_.HasReported(path); }};
  RETURN_IF_ERROR(CompareUnchangedPages(options, files_, &changed_, damage, &result_));
  return slrus_.CompareUnchanged(data_directory_, ingest_->state(), damage.has_file, &result_);
}

PageCheck::Server ClusterVerifier::Server() const {
  const bool is_another = label_.from_standby || of_standby_ || switched_;
  return {Hints(), restarted_, is_another, label_.start};
}

PageCheck::Options ClusterVerifier::PageOptions() const {
  return {data_directory_, base_directory_,     control_.version,  control_.checksums,
          second_.start,   control_.oldest_xid, control_.next_xid, &dropping_};
}

std::set<uint32_t> ClusterVerifier::FindDropping() const {
  CommitLog log(data_directory_, control_.oldest_xid, control_.next_xid);
  return Catalog(data_directory_, *control_.version, RelationFileList(), &log, false)
      .DroppingDatabases();
}

Status ClusterVerifier::CheckDirectories() {
  ASSIGN_OR_RETURN(auto label, ReadBackupLabel(base_directory_));
  label_ = label;
  ASSIGN_OR_RETURN(auto base, ReadControlData(base_directory_));
  control_ = base_control_ = base;
  view_.emplace(*control_.version);
  ASSIGN_OR_RETURN(const bool has_timestamps, HasCommitTimestamps(base_directory_));
  ingest_.emplace(IngestOptions{has_timestamps});
  if (compares()) RETURN_IF_ERROR(CheckData());
  RETURN_IF_ERROR(FindWal());
  if (compares()) dropping_ = FindDropping();
  RETURN_IF_ERROR(CheckTimeline());
  RETURN_IF_ERROR(files_.ListBase(*control_.version, !options_.quick));
  return two_phase_.ReadBase(base_directory_, *control_.version, base_control_.next_full_xid);
}

// All readers of this run see the directories as they are now.
Status ClusterVerifier::FindWal() {
  result_.wal_directories = options_.wal;
  result_.restore_command = options_.restore_command;
  if (compares()) RETURN_IF_ERROR(AddOwnWal());
  ASSIGN_OR_RETURN(wal_, WalSet::Open(WalSources{.directories = result_.wal_directories,
                                                 .restore_command = options_.restore_command,
                                                 .start = label_.start,
                                                 .timeline = Timeline(),
                                                 .start_timeline = label_.timeline}));
  return {};
}

// The shutdown checkpoint is in a segment that is never archived: it is in the cluster's own pg_wal,
// perhaps by a link. A backup may have been taken without.
Status ClusterVerifier::AddOwnWal() {
  const std::string own = data_directory_ + "/pg_wal";
  if (access(own.c_str(), F_OK) != 0) {
    if (errno != ENOENT) return FileError("access directory", own);
    result_.wal_notes.push_back(fmt::format("there is no directory \"{}\"", own));
    return {};
  }
  // In a data directory that is given as a directory of WAL, it is the same directory.
  result_.wal_directories.push_back(own);
  return {};
}

// The cluster descends from the backup, or the WAL to replay is of another history.
Status ClusterVerifier::CheckTimeline() {
  const std::string wal = NamePaths(wal_->given());
  ASSIGN_OR_RETURN(const auto lineage, ReadLineage(*wal_, Timeline(), label_.start));
  RETURN_IF_ERROR(CheckOneCluster(wal, *lineage.version, lineage.system_identifier,
                                  compares() ? data_directory_ : base_directory_, control_));
  result_.timeline = lineage.timeline;
  if (!Timeline()) {
    for (const OtherTimeline& other : FindOtherTimelines(*wal_, lineage))
      result_.other_timelines.emplace_back(other.timeline, other.start);
  }
  Status status =
      CheckDescent(label_, base_directory_, lineage,
                   compares() ? "the cluster in " + data_directory_ : "the WAL in " + wal);
  if (!status && !Timeline())
    status.error().message +=
        fmt::format(", or --timeline={} to follow the backup's", label_.timeline);
  return status;
}

// As far as WAL read so far shows.
HintLogging ClusterVerifier::Hints() const {
  const auto logs = [](const ControlData& c) { return c.checksums || c.wal_log_hints; };
  const bool always_checksums = base_control_.checksums && control_.checksums;
  if (logs(base_control_) != logs(control_) || (hints_changed_ && !always_checksums))
    return HintLogging::kChanged;
  return logs(control_) ? HintLogging::kAlways : HintLogging::kNever;
}

Status ClusterVerifier::CheckData() {
  const uint64_t of_backup = control_.system_identifier;
  const pg::Version* const version_of_backup = control_.version;
  ASSIGN_OR_RETURN(auto control, ReadControlData(data_directory_));
  control_ = control;
  if (control_.version != version_of_backup)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the backup in {} is of PostgreSQL {}, but the cluster in {} is of PostgreSQL "
                    "{}",
                    base_directory_, version_of_backup->major, data_directory_,
                    control_.version->major));
  auto label = ReadBackupLabel(data_directory_);
  if (!label && label.error().code != ErrorCode::kNotFound) return tl::unexpected(label.error());
  if (label) {
    second_ = *label;
    if (second_.start < label_.start)
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the backup in {} is older than the one to start from: give one "
                                   "taken later",
                                   data_directory_));
    if (second_.from_standby) TakeStandby();
  } else if (control_.is_standby) {
    second_.start = control_.redo;
    if (second_.start < label_.start)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("the last restartpoint of the standby in {} is at {}, before the "
                      "start of the backup in {}: start the standby, and stop it once "
                      "it has replayed a checkpoint since",
                      data_directory_, control_.redo.ToString(), base_directory_));
    TakeStandby();
  } else if (!control_.shut_down) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the cluster in {0} is not shut down (state: {1}), so its pages are not "
                    "all written: stop it with pg_ctl stop -D {0} (after a crash, start it first)",
                    data_directory_, control_.state));
  }
  if (options_.timeline.value_or(control_.timeline) != control_.timeline)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the cluster in {} is on timeline {}, not {}: leave out --timeline",
                    data_directory_, control_.timeline, *options_.timeline));
  if (of_backup != control_.system_identifier)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is not a backup of the cluster in {}: system identifiers {} "
                    "and {}",
                    base_directory_, data_directory_, of_backup, control_.system_identifier));
  return {};
}

// A standby's pages are of its last restartpoint or of any time since, up to the end of the recovery
// that it needs. So it is looked at like a later backup.
void ClusterVerifier::TakeStandby() {
  second_end_ = control_.min_recovery_point;
  control_.timeline = std::max(control_.timeline, control_.min_recovery_timeline);
  of_standby_ = true;
}

// Returns the blocks that need another pass.
Result<std::set<BlockTag>> ClusterVerifier::Pass(Engine engine, const std::set<BlockTag>* only) {
  RETURN_IF_ERROR(CheckWorkerFiles(options_.worker, *control_.version, engine));
  ReplayOptions replay_options = ReplayOptionsOf(options_);
  replay_options.engine = engine;
  replay_options.hints_logged = Hints() == HintLogging::kAlways;
  MemoryBudget memory(MemoryForPages(replay_options) / 16 * 15);
  std::vector<ClusterConsumer*> consumers;
  const auto make_consumer = [&] {
    auto consumer =
        std::make_unique<ClusterConsumer>(PageOptions(), proof_.relations(), !options_.quick);
    consumers.push_back(consumer.get());
    return consumer;
  };
  ASSIGN_OR_RETURN(const auto replay, PageReplay::Make(replay_options, *control_.version, &memory,
                                                       make_consumer, only));
  RETURN_IF_ERROR(ReadAll(replay.get(), only == nullptr));
  if (only == nullptr && !options_.quick) RETURN_IF_ERROR(proof_.FindCatalogs(files_));
  for (ClusterConsumer* consumer : consumers) consumer->check.SetServer(Server());
  // A guess while other threads still add blocks; it is for a progress bar.
  const uint64_t total = result_.wal_bytes / kBlockSize;
  RETURN_IF_ERROR(replay->Finish([&](uint64_t finished) {
    if (options_.progress) options_.progress({"comparing pages", finished, total});
  }));
  for (ClusterConsumer* consumer : consumers) {
    if (!options_.quick) proof_.Add(std::move(consumer->catalogs));
    if (only == nullptr)
      for (auto& [fork, blocks] : consumer->changed) {
        auto& all = changed_[fork];
        all.insert(all.end(), blocks.begin(), blocks.end());
        std::vector<uint32_t>().swap(blocks);
      }
    consumer->check.findings().AddTo(&result_);
    result_.pages_compared += consumer->check.pages_compared();
    result_.pages_replayed += consumer->check.pages_replayed();
    if (compares()) result_.compared["relation pages"] += consumer->check.pages_compared();
    for (const auto& [fork, end] : consumer->touched)
      touched_[fork] = std::max(touched_[fork], end);
    for (const auto& [fork, end] : consumer->sought) sought_[fork] = std::max(sought_[fork], end);
  }
  const ReplayCounts counts = replay->counts();
  result_.pages_spilled += counts.spills;
  result_.engines.Add(counts.engines);
  if (only == nullptr) CountForgotten(counts);  // else the first pass has counted them
  return replay->spoilt();
}

void ClusterVerifier::NameSkipsOfStandby() {
  auto later = result_.skipped.extract(SkipName({SkipReason::kChangedDuringBackup}, nullptr));
  if (later.empty()) return;
  later.key() = "changed after the standby's last restartpoint";
  result_.skipped.insert(std::move(later));
}

void ClusterVerifier::CountForgotten(const ReplayCounts& counts) {
  constexpr SkipReason kReasons[] = {SkipReason::kRelationDropped, SkipReason::kRelationTruncated,
                                     SkipReason::kDatabaseDropped};
  static_assert(std::size(kReasons) == kForgottenReasons);
  for (size_t i = 0; i < kForgottenReasons; i++)
    if (const uint64_t blocks = counts.forgotten[i])
      result_.skipped[SkipName({kReasons[i]}, nullptr)] += blocks;
}

// None: the highest that has the backup's start.
std::optional<uint32_t> ClusterVerifier::Timeline() const {
  return compares() ? std::optional(control_.timeline) : options_.timeline;
}

Status ClusterVerifier::CheckEnd(const WalReader& reader, const ReplayEnd& replay_end,
                                 Lsn last) const {
  const std::string end = reader.end_of_wal().ToString();
  const std::string wal = NamePaths(wal_->given());
  if (!compares()) {
    const Lsn replayed = replay_end.reached() ? replay_end.end() : reader.end_of_wal();
    const bool is_at_end = label_.from_standby && replayed >= base_control_.min_recovery_point;
    const bool ended = backup_ended_ || is_at_end;
    RETURN_IF_ERROR(replay_end.Check(reader, wal, base_directory_, ended));
    if (ended) return {};
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in {} ends at {} ({}), before the end of the backup in {}: the "
                    "backup cannot be made consistent; add the missing segments",
                    wal, end, reader.end_reason(), base_directory_));
  }
  if (second_.start.valid()) {
    if (of_standby_ ? reader.end_of_wal() >= second_end_ : second_end_.valid()) return {};
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in {} ends at {} ({}), before {} {}: add the missing segments", wal,
                    end, reader.end_reason(),
                    of_standby_ ? "the minimum recovery point of" : "the end of the backup in",
                    data_directory_));
  }
  if (last < control_.checkpoint)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the WAL in {} ends at {} ({}), but the cluster in {} was shut "
                                 "down by the checkpoint at {}: add the missing segments",
                                 wal, end, reader.end_reason(), data_directory_,
                                 control_.checkpoint.ToString()));
  if (last > control_.checkpoint)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the WAL in {} has no record at {}, where {} has its shutdown "
                                 "checkpoint: it is not this cluster's WAL",
                                 wal, control_.checkpoint.ToString(), data_directory_));
  return {};
}

std::string ClusterVerifier::EndReason(const WalReader& reader, const ReplayEnd& end) const {
  if (second_.start.valid())
    return fmt::format("the {} {} was reached",
                       of_standby_ ? "minimum recovery point of" : "end of the backup in",
                       data_directory_);
  if (compares()) return fmt::format("the shutdown checkpoint of {} was reached", data_directory_);
  return end.Reason(reader);
}

Status ClusterVerifier::ReadAll(PageReplay* replay, bool first_pass) {
  ASSIGN_OR_RETURN(auto opened, OpenWal(*wal_, {.from = label_.start, .timeline = Timeline()}));
  WalReader& reader = *opened;
  const uint64_t total = compares() && !second_.start.valid() ? control_.checkpoint - label_.start
                                                              : reader.bytes_total();
  Lsn last;
  uint64_t records = 0;
  free_space_map_ = 0;
  WalRecord record;
  ReplayEnd end(options_);
  while (!HasEnded(last) && !end.reached() && reader.Next(&record)) {
    ASSIGN_OR_RETURN(const bool stops, end.StopsBefore(record, &*view_));
    if (stops) break;
    last = record.start;
    RETURN_IF_ERROR(Take(record, first_pass, replay));
    end.Took(record);
    if (++records % 4096 == 0 && options_.progress)
      options_.progress(
          {first_pass ? "reading WAL" : "reading WAL again", last - label_.start, total});
  }
  if (reader.error()) return tl::unexpected(*reader.error());
  RETURN_IF_ERROR(CheckEnd(reader, end, last));
  result_.start = label_.start;
  result_.end = end.reached() ? end.end() : reader.end_of_wal();
  result_.end_reason = EndReason(reader, end);
  result_.last_transaction = end.last_transaction();
  result_.wal_bytes = result_.end - result_.start;
  if (first_pass)
    result_.wal_notes.insert(result_.wal_notes.end(), reader.notes().begin(), reader.notes().end());
  result_.records = records;
  return {};
}

Status ClusterVerifier::Take(const WalRecord& record, bool first_pass, PageReplay* replay) {
  RETURN_IF_ERROR(ParseRecord(record, &*view_));
  // WAL has no record of the end.
  if (label_.from_standby) backup_ended_ |= record.start >= base_control_.min_recovery_point;
  for (int id = 0; id <= view_->max_block_id(); id++) {
    const BlockRef* ref = view_->block(id);
    free_space_map_ += ref != nullptr && ref->tag.fork == kFreeSpaceMapFork;
  }
  const RecordFault fault = first_pass ? ingest_->TakeBeyondBlocks(*view_, &others_)
                                       : TakeRelationChanges(*view_, &others_);
  if (fault)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
  if (first_pass && !options_.quick) proof_.Take(record, *view_, others_, backup_ended_);
  RETURN_IF_ERROR(replay->Take(record, *view_, others_));
  return first_pass && !others_.empty() ? TakeOthers(record) : Status();
}

// Takes the record's changes to what is no relation's page.
Status ClusterVerifier::TakeOthers(const WalRecord& record) {
  for (const Change& change : others_) {
    if (change.kind == ChangeKind::kBackupEnd) {
      const Lsn start(static_cast<uint64_t>(change.time));
      backup_ended_ |= start == label_.start;
      if (start == second_.start) second_end_ = record.start;
    }
    if (change.kind == ChangeKind::kParameters) RETURN_IF_ERROR(TakeParameters(change, record));
    switched_ |= change.kind == ChangeKind::kTimeline && change.number != change.number2;
    restarted_ |= change.kind == ChangeKind::kTimeline ||
                  (change.kind == ChangeKind::kCheckpoint && change.flags != 0 &&
                   record.start != control_.checkpoint);
    files_.Take(change, record);
    two_phase_.Take(change, record);
    RETURN_IF_ERROR(slrus_.Take(change, record, view_->rmid()));
  }
  return {};
}

Status ClusterVerifier::TakeParameters(const Change& change, const WalRecord& record) {
  RETURN_IF_ERROR(pg::CheckWalLevel(change.payload, record.start));
  const auto parameters = pg::ReadParameterChange(change.payload);
  hints_changed_ |= (parameters->wal_log_hints != 0) != base_control_.wal_log_hints;
  return {};
}

}  // namespace

Result<VerifyResult> VerifyCluster(const VerifyOptions& options, const std::string& base_backup,
                                   const std::string& data_directory) {
  if (!data_directory.empty() && (options.until_lsn || options.until_time))
    return MakeError(ErrorCode::kInvalidArgument,
                     "replay to a target cannot be compared with a data directory");
  return Guarded([&] { return ClusterVerifier(options, base_backup, data_directory).Run(); });
}

}  // namespace neon_redo

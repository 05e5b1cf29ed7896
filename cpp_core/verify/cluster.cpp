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
#include "cpp_core/verify/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/backup/limited_backup.h"
#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/replay/page_replay.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/backup_proof.h"
#include "cpp_core/verify/cluster_consumer.h"
#include "cpp_core/verify/cluster_inputs.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/last_records.h"
#include "cpp_core/verify/ledger_run.h"
#include "cpp_core/verify/options.h"
#include "cpp_core/verify/page_check.h"
#include "cpp_core/verify/replay_end.h"
#include "cpp_core/verify/running_looks.h"
#include "cpp_core/verify/slru_check.h"
#include "cpp_core/verify/subjects.h"
#include "cpp_core/verify/two_phase_check.h"
#include "cpp_core/verify/unchanged_check.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {
namespace {

class ClusterVerifier : public ClusterLook {
 public:
  // ledger: null where there is none. running: null if no server runs on what is compared. earlier: the
  // first look at it; null: this is it.
  ClusterVerifier(const VerifyOptions& options, ClusterInputs inputs, LedgerRun* ledger,
                  RunningServer* running, const ClusterVerifier* earlier)
      : options_(options),
        in_(std::move(inputs)),
        ledger_(ledger),
        running_(running),
        earlier_(earlier),
        view_(*in_.control.version),
        slru_memory_(MemoryForPages(ReplayOptionsOf(options)) / 16),
        slrus_(in_.base, &slru_memory_, options.spill_directory, !options.quick),
        files_(in_.base, in_.data),
        proof_(options, in_.base),
        ingest_(IngestOptions{HasCommitTimestamps(in_.base_files)}),
        restarted_(in_.crashed),
        second_end_(in_.second_end),
        settled_(in_.second.start) {}

  Result<VerifyResult> Run() override;
  Status Describe(VerifyResult* result) const override;

 private:
  bool HasEnded(Lsn last) const {
    return compares() && !in_.crashed && !in_.running &&
           (in_.second.start.valid() ? second_end_.valid() && last >= second_end_
                                     : last >= in_.control.checkpoint);
  }
  bool compares() const { return in_.compares(); }
  // The backup was read in the first look.
  bool proves_backup() const { return !options_.quick && earlier_ == nullptr; }
  const BackupProof& proof() const { return earlier_ != nullptr ? earlier_->proof_ : proof_; }
  // Where what is no relation's page is found.
  VerifyResult* others() { return running_ != nullptr ? running_->others() : &result_; }
  SlruCheck::Disk Disk() const { return {*in_.data, data_files_}; }
  bool resumes() const { return ledger_ != nullptr && ledger_->resumes(); }
  Status Resume();
  void Prove();
  std::set<uint32_t> FindDropping() const;
  HintLogging Hints() const;
  Status TakeParameters(const Change& change, const WalRecord& record);
  Status CompareOthers();
  Status FinishBackup();
  Status CompareUnchanged();
  Status CompareFiles();
  void TakeForks();
  Status SettleLater();
  PageCheck::Options PageOptions() const;
  PageCheck::Server Server() const;
  Result<std::set<BlockTag>> Pass(Engine engine, const std::set<BlockTag>* only, bool takes_all);
  void CountForgotten(const ReplayCounts& counts);
  void DoubtUnknown(const PageReplay& replay);
  void NameSkips(VerifyResult* result) const;
  void FindSubjects(VerifyResult* result) const;
  Status ReadAll(PageReplay* replay, bool first_pass);
  Status CheckEnd(const WalReader& reader, const ReplayEnd& replay_end, Lsn last) const;
  std::string EndReason(const WalReader& reader, const ReplayEnd& end) const;
  Status Take(const WalRecord& record, bool first_pass, PageReplay* replay);
  Status TakeOthers(const WalRecord& record);

  const VerifyOptions& options_;
  const ClusterInputs in_;
  LedgerRun* const ledger_;
  RunningServer* const running_;
  const ClusterVerifier* const earlier_;
  BaseFiles data_files_;  // once all WAL is read
  VerifyResult result_;
  uint64_t free_space_map_ = 0;  // references to blocks of it
  RecordView view_;
  ChangeList others_;  // of the record, beyond its blocks
  // Of what is no relation's page.
  MemoryBudget slru_memory_;
  SlruCheck slrus_;
  FileCheck files_;
  TwoPhaseCheck two_phase_;
  BackupProof proof_;  // unless options_.quick
  Ingest ingest_;
  ForkSizes touched_, sought_;
  TouchedForks forks_;  // in a later look
  ChangedBlocks changed_;
  std::set<uint32_t> dropping_;  // databases that the data directory is dropping
  bool backup_ended_ = false;
  bool hints_changed_ = false;  // by a record
  bool restarted_;              // the server was, perhaps after a crash
  bool switched_ = false;       // WAL begins a timeline
  Lsn second_end_;  // start of the record that ends the second backup, or ClusterInputs::second_end; 0: not seen yet
  Lsn settled_;  // ClusterInputs::second.start, or of a running server a later checkpoint's redo point
};

Result<VerifyResult> ClusterVerifier::Run() {
  result_.version = in_.control.version;
  result_.wal_directories = in_.wal;
  result_.backup_end = in_.consistent_at;
  result_.restore_command = options_.restore_command;
  result_.wal_notes = in_.wal_notes;
  result_.timeline = in_.wal_timeline;
  for (const OtherTimeline& other : in_.other_timelines)
    result_.other_timelines.emplace_back(other.timeline, other.start);
  if (compares()) dropping_ = FindDropping();
  RETURN_IF_ERROR(files_.TakeBase(in_.base_files, *in_.control.version, !options_.quick));
  CommitLog log(in_.base, in_.base_control.oldest_xid, in_.base_control.next_xid);
  RETURN_IF_ERROR(two_phase_.ReadBase(in_.base, in_.base_files, *in_.control.version,
                                      in_.base_control.next_full_xid, &log, !options_.quick));
  if (resumes())
    RETURN_IF_ERROR(Resume());
  else if (proves_backup())
    RETURN_IF_ERROR(
        proof_.Read(in_.base_control, in_.base_files, files_.base().forks, in_.has_label));
  if (running_ != nullptr) RETURN_IF_ERROR(running_->BeginLook());
  auto spoilt = Pass(options_.engine, running_ != nullptr ? running_->only() : nullptr, true);
  if (spoilt && !spoilt->empty()) spoilt = Pass(Engine::kWorker, &*spoilt, false);
  if (!spoilt) return tl::unexpected(spoilt.error());
  if (earlier_ != nullptr) TakeForks();
  RETURN_IF_ERROR(CompareFiles());
  if (free_space_map_ > 0)
    others()->skipped[SkipName({SkipReason::kFreeSpaceMap}, nullptr)] = free_space_map_;
  if (running_ != nullptr)
    RETURN_IF_ERROR(running_->EndLook({.options = options_,
                                       .inputs = in_,
                                       .settled = settled_,
                                       .wal_end = result_.end,
                                       .find_dropping = [this] { return FindDropping(); }},
                                      &result_));
  RETURN_IF_ERROR(CheckStillTheSame(in_));
  if (ledger_ != nullptr && result_.different == 0) Prove();
  return std::move(result_);
}

// Where only some blocks were replayed. Those that the first look has looked for were reported then.
void ClusterVerifier::TakeForks() {
  touched_ = forks_.sizes();
  for (const auto& [fork, end] : earlier_->sought_) sought_[fork] = std::max(sought_[fork], end);
}

Status ClusterVerifier::Describe(VerifyResult* result) const {
  NameSkips(result);
  ListInOrder(result);
  FindMisplaced(result);
  FindSubjects(result);
  return DescribeLastRecords(*in_.set, in_.Timeline(options_), &result->mismatches);
}

// All but the pages that WAL changes.
Status ClusterVerifier::CompareFiles() {
  if (compares()) {
    ASSIGN_OR_RETURN(data_files_, in_.data->ListData());
    RETURN_IF_ERROR(CheckNeededDirectories(*in_.data, data_files_, false));
  }
  const auto disk = compares() ? std::optional(Disk()) : std::nullopt;
  RETURN_IF_ERROR(slrus_.Compare(disk ? &*disk : nullptr, settled_, ingest_.state(), others()));
  if (proves_backup()) RETURN_IF_ERROR(FinishBackup());
  if (compares()) RETURN_IF_ERROR(CompareOthers());
  return !options_.quick && compares() ? CompareUnchanged() : Status();
}

// What an earlier run knew at its end of WAL.
Status ClusterVerifier::Resume() {
  const Ledger& before = ledger_->before();
  StateReader in(before.state);
  ingest_ = LoadIngest(&in);
  files_.Load(&in);
  slrus_.Load(&in);
  two_phase_.Load(&in);
  proof_.Resume(in_.base_control, in_.base_files, before.end, &in);
  ledger_->Load(&in);
  if (!in.is_done())
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("ledger \"{}\" says what cannot be; remove it, or give --full",
                                 options_.ledger));
  backup_ended_ = true;
  result_.backup_end = before.backup_end;
  return {};
}

// For later runs.
void ClusterVerifier::Prove() {
  StateWriter out;
  SaveIngest(ingest_, &out);
  files_.Save(&out);
  slrus_.Save(&out);
  two_phase_.Save(&out);
  proof_.Save(&out);
  ledger_->Save(&out);
  ledger_->Prove({.redo = ingest_.state().checkpoint_redo,
                  .end = result_.end,
                  .backup_end = result_.backup_end,
                  .last_transaction = result_.last_transaction,
                  .contents = &proof_.contents(),
                  .state = out.bytes()});
}

// What is neither a relation's page nor an SLRU's.
Status ClusterVerifier::CompareOthers() {
  CommitLog log(*in_.data, in_.control.oldest_xid, in_.control.next_xid);
  std::function<bool(const RelFileNode&)> is_lost;
  if (!options_.quick) is_lost = [this](const RelFileNode& rel) { return proof().HasLost(rel); };
  RETURN_IF_ERROR(files_.Compare({.on_disk = data_files_,
                                  .touched = touched_,
                                  .sought = sought_,
                                  .settled = settled_,
                                  .log = &log,
                                  .may_be_prepared = two_phase_.HasPrepared(),
                                  .may_have_crashed = restarted_ || Server().is_another,
                                  .is_lost = std::move(is_lost),
                                  .dropping = &dropping_},
                                 others()));
  TwoPhaseCheck::IsLost has_lost;
  if (!options_.quick)
    has_lost = [this](const std::string& file) { return proof().HasReported(file); };
  return two_phase_.Compare(*in_.data, data_files_, in_.control.next_full_xid, settled_, has_lost,
                            others());
}

// What the base backup lacks, once it is known what WAL does.
Status ClusterVerifier::FinishBackup() {
  const auto next_xid = static_cast<uint32_t>(ingest_.state().next_xid);
  return proof_.Finish({.files = files_,
                        .slrus = &slrus_,
                        .two_phase = two_phase_,
                        .next_xid = next_xid != 0 ? next_xid : in_.base_control.next_xid},
                       &result_);
}

// What WAL does not change is as in the base backup.
Status ClusterVerifier::CompareUnchanged() {
  UnchangedOptions options{PageOptions(), Server(), options_.jobs, options_.progress};
  if (running_ != nullptr) options.only = running_->only();
  if (running_ != nullptr) options.looks = running_->seen();
  const BackupDamage damage{
      .has_page = [this](const BlockTag& tag) { return proof().IsBad(tag); },
      .has_file = [this](const std::string& path) { return proof().HasReported(path); }};
  RETURN_IF_ERROR(CompareUnchangedPages(options, files_, &changed_, damage, &result_));
  return slrus_.CompareUnchanged(in_.base_files, Disk(), ingest_.state(), damage.has_file,
                                 others());
}

PageCheck::Server ClusterVerifier::Server() const {
  const bool is_another = in_.label.from_standby || in_.of_standby || switched_;
  return {Hints(), restarted_, is_another, in_.label.start, settled_, result_.end};
}

PageCheck::Options ClusterVerifier::PageOptions() const {
  return {in_.data,
          &in_.base,
          in_.control.version,
          in_.control.checksums,
          in_.control.oldest_xid,
          in_.control.next_xid,
          &dropping_,
          running_ != nullptr ? &running_->options() : nullptr};
}

std::set<uint32_t> ClusterVerifier::FindDropping() const {
  CommitLog log(*in_.data, in_.control.oldest_xid, in_.control.next_xid);
  return Catalog(*in_.data, *in_.control.version, RelationFileList(), &log, false, &in_.base)
      .DroppingDatabases();
}

// As far as WAL read so far shows.
HintLogging ClusterVerifier::Hints() const {
  const auto logs = [](const ControlData& c) { return c.checksums || c.wal_log_hints; };
  const bool always_checksums = in_.base_control.checksums && in_.control.checksums;
  if (logs(in_.base_control) != logs(in_.control) || (hints_changed_ && !always_checksums))
    return HintLogging::kChanged;
  return logs(in_.control) ? HintLogging::kAlways : HintLogging::kNever;
}

// Returns the blocks that need another pass. takes_all: also what is no relation's page.
Result<std::set<BlockTag>> ClusterVerifier::Pass(Engine engine, const std::set<BlockTag>* only,
                                                 bool takes_all) {
  RETURN_IF_ERROR(CheckWorkerFiles(options_.worker, *in_.control.version, engine));
  ReplayOptions replay_options = ReplayOptionsOf(options_);
  replay_options.engine = engine;
  replay_options.hints_logged = Hints() == HintLogging::kAlways;
  replay_options.without_bases = resumes();
  MemoryBudget memory(MemoryForPages(replay_options) / 16 * 15);
  std::vector<ClusterConsumer*> consumers;
  const auto make_consumer = [&] {
    auto consumer = std::make_unique<ClusterConsumer>(PageOptions(), proof_.relations(),
                                                      !options_.quick, ledger_, files_);
    consumers.push_back(consumer.get());
    return consumer;
  };
  ASSIGN_OR_RETURN(const auto replay, PageReplay::Make(replay_options, *in_.control.version,
                                                       &memory, make_consumer, only));
  RETURN_IF_ERROR(ReadAll(replay.get(), takes_all));
  if (takes_all && proves_backup()) RETURN_IF_ERROR(proof_.FindCatalogs(files_));
  if (takes_all && running_ != nullptr) RETURN_IF_ERROR(SettleLater());
  for (ClusterConsumer* consumer : consumers) consumer->check.SetServer(Server());
  // A guess while other threads still add blocks; it is for a progress bar.
  const uint64_t total = result_.wal_bytes / kBlockSize;
  RETURN_IF_ERROR(replay->Finish([&](uint64_t finished) {
    if (options_.progress) options_.progress({"comparing pages", finished, total});
  }));
  for (ClusterConsumer* consumer : consumers) {
    if (proves_backup()) proof_.Add(std::move(consumer->catalogs));
    if (running_ != nullptr) running_->Add(std::move(consumer->check.look()));
    if (takes_all)
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
  if (resumes()) DoubtUnknown(*replay);
  const ReplayCounts counts = replay->counts();
  result_.pages_spilled += counts.spills;
  result_.engines.Add(counts.engines);
  if (takes_all) CountForgotten(counts);  // else the first pass has counted them
  return replay->spoilt();
}

// With full_page_writes a page's first record after a checkpoint makes it whole.
void ClusterVerifier::DoubtUnknown(const PageReplay& replay) {
  if (const auto page = replay.unknown())
    ledger_->Doubt(fmt::format(
        "the record at {} changes block {} of {}, and none since the last checkpoint "
        "before has an image of it",
        page->lsn.ToString(), page->tag.block, pg::BlockFilePath(*in_.control.version, page->tag)));
  if (!proof_.doubt().empty()) ledger_->Doubt(proof_.doubt());
}

// A checkpoint that has ended meanwhile leaves less undecided.
Status ClusterVerifier::SettleLater() {
  ASSIGN_OR_RETURN(const ControlData control, ReadControlData(*in_.data));
  if (control.checkpoint < result_.end) settled_ = std::max(settled_, control.redo);
  return {};
}

// What is skipped as changed while a backup was taken.
void ClusterVerifier::NameSkips(VerifyResult* result) const {
  const auto rename = [result](SkipReason reason, const char* name) {
    auto skipped = result->skipped.extract(SkipName({reason}, nullptr));
    if (!skipped.empty()) result->skipped[name] += skipped.mapped();
  };
  if (in_.running) {
    rename(SkipReason::kChangedDuringBackup, kUndecidedOnRunning);
    rename(SkipReason::kMapInBackup, "visibility map of a running server");
  } else if (in_.of_standby) {
    rename(SkipReason::kChangedDuringBackup, "changed after the standby's last restartpoint");
  } else if (in_.crashed) {
    rename(SkipReason::kChangedDuringBackup, "changed after the cluster's last checkpoint");
  }
}

// By the catalogs of what is compared, which has the newest names.
void ClusterVerifier::FindSubjects(VerifyResult* result) const {
  if (result->mismatches.empty() && result->notes.empty()) return;
  CommitLog log(compares() ? *in_.data : in_.base, in_.control.oldest_xid, in_.control.next_xid);
  Catalog catalog(compares() ? *in_.data : in_.base, *in_.control.version,
                  compares() ? files_.disk() : files_.base(), &log, true, &in_.base);
  NameSubjects(&catalog, result);
}

void ClusterVerifier::CountForgotten(const ReplayCounts& counts) {
  constexpr SkipReason kReasons[] = {SkipReason::kRelationDropped, SkipReason::kRelationTruncated,
                                     SkipReason::kDatabaseDropped};
  static_assert(std::size(kReasons) == kForgottenReasons);
  for (size_t i = 0; i < kForgottenReasons; i++)
    if (const uint64_t blocks = counts.forgotten[i])
      result_.skipped[SkipName({kReasons[i]}, nullptr)] += blocks;
}

Status ClusterVerifier::CheckEnd(const WalReader& reader, const ReplayEnd& replay_end,
                                 Lsn last) const {
  const std::string end = reader.end_of_wal().ToString();
  const std::string wal = NamePaths(in_.set->given());
  if (!compares()) {
    const Lsn replayed = replay_end.reached() ? replay_end.end() : reader.end_of_wal();
    const bool is_at_end = in_.consistent_at.valid() && replayed >= in_.consistent_at;
    const bool ended = backup_ended_ || is_at_end;
    RETURN_IF_ERROR(replay_end.Check(reader, wal, in_.base.path(), ended));
    if (ended) return {};
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in {} ends at {} ({}), before the end of the backup in {}: the "
                    "backup cannot be made consistent; add the missing segments",
                    wal, end, reader.end_reason(), in_.base.path()));
  }
  // All WAL that there is, with the cluster's own.
  const bool reads_all = in_.crashed || in_.running;
  if (reads_all && last >= in_.control.checkpoint) return {};
  if (in_.second.start.valid() && !reads_all) {
    if (in_.of_standby ? reader.end_of_wal() >= second_end_ : second_end_.valid()) return {};
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in {} ends at {} ({}), before {} {}: add the missing segments", wal,
                    end, reader.end_reason(),
                    in_.of_standby ? "the minimum recovery point of" : "the end of the backup in",
                    in_.data->path()));
  }
  if (last < in_.control.checkpoint)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the WAL in {} ends at {} ({}), but the last checkpoint of the "
                                 "cluster in {} is at {}: add the missing segments",
                                 wal, end, reader.end_reason(), in_.data->path(),
                                 in_.control.checkpoint.ToString()));
  if (last > in_.control.checkpoint)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the WAL in {} has no record at {}, where {} has its shutdown "
                                 "checkpoint: it is not this cluster's WAL",
                                 wal, in_.control.checkpoint.ToString(), in_.data->path()));
  return {};
}

std::string ClusterVerifier::EndReason(const WalReader& reader, const ReplayEnd& end) const {
  if (in_.crashed || in_.running) return end.Reason(reader);
  if (in_.second.start.valid())
    return fmt::format("the {} {} was reached",
                       in_.of_standby ? "minimum recovery point of" : "end of the backup in",
                       in_.data->path());
  if (compares()) return fmt::format("the shutdown checkpoint of {} was reached", in_.data->path());
  return end.Reason(reader);
}

Status ClusterVerifier::ReadAll(PageReplay* replay, bool first_pass) {
  const Lsn from = ledger_ != nullptr ? ledger_->read_from() : in_.label.start;
  ASSIGN_OR_RETURN(
      auto opened,
      OpenWal(*in_.set,
              {.from = from, .timeline = resumes() ? in_.wal_timeline : in_.Timeline(options_)}));
  WalReader& reader = *opened;
  const uint64_t total = compares() && !in_.second.start.valid()
                             ? in_.control.checkpoint - in_.label.start
                             : reader.bytes_total();
  Lsn last;
  uint64_t records = 0;
  free_space_map_ = 0;
  WalRecord record;
  ReplayEnd end(options_);
  // A server may write WAL as fast as it is read.
  const Lsn enough = std::max(in_.control.checkpoint, in_.label.start + reader.bytes_total());
  const auto has_read_enough = [&] { return in_.running && last > enough; };
  while (!HasEnded(last) && !end.reached() && !has_read_enough() && reader.Next(&record)) {
    ASSIGN_OR_RETURN(const bool stops, end.StopsBefore(record, &view_));
    if (stops) break;
    last = record.start;
    if (ledger_ != nullptr && first_pass) ledger_->Take(record);
    if (ledger_ == nullptr || ledger_->Replays(record.start))
      RETURN_IF_ERROR(Take(record, first_pass, replay));
    end.Took(record);
    if (++records % 4096 == 0 && options_.progress)
      options_.progress({first_pass ? "reading WAL" : "reading WAL again", last - from, total});
  }
  if (reader.error()) return tl::unexpected(*reader.error());
  if (ledger_ != nullptr && first_pass) ledger_->EndOfWal();
  RETURN_IF_ERROR(CheckEnd(reader, end, last));
  result_.start = from;
  result_.end = end.reached() ? end.end() : reader.end_of_wal();
  result_.end_reason =
      has_read_enough() ? "more was not there when the look began" : EndReason(reader, end);
  result_.last_transaction = end.last_transaction();
  if (!result_.last_transaction && resumes())
    result_.last_transaction = ledger_->before().last_transaction;
  result_.wal_bytes = result_.end - result_.start;
  if (first_pass)
    result_.wal_notes.insert(result_.wal_notes.end(), reader.notes().begin(), reader.notes().end());
  result_.records = records;
  return {};
}

Status ClusterVerifier::Take(const WalRecord& record, bool first_pass, PageReplay* replay) {
  RETURN_IF_ERROR(ParseRecord(record, &view_));
  // An earlier run may have taken it.
  const bool is_new = first_pass && (ledger_ == nullptr || ledger_->IsNew(record.start));
  // WAL need not have a record of the end.
  if (in_.consistent_at.valid()) backup_ended_ |= record.start >= in_.consistent_at;
  for (int id = 0; id <= view_.max_block_id(); id++) {
    const BlockRef* ref = view_.block(id);
    free_space_map_ += ref != nullptr && ref->tag.fork == kFreeSpaceMapFork;
  }
  const RecordFault fault =
      is_new ? ingest_.TakeBeyondBlocks(view_, &others_) : TakeRelationChanges(view_, &others_);
  if (fault)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
  if (is_new && proves_backup()) proof_.Take(record, view_, others_, backup_ended_);
  if (first_pass && earlier_ != nullptr) forks_.Take(view_, others_);
  RETURN_IF_ERROR(replay->Take(record, view_, others_));
  return is_new && !others_.empty() ? TakeOthers(record) : Status();
}

// Takes the record's changes to what is no relation's page.
Status ClusterVerifier::TakeOthers(const WalRecord& record) {
  for (const Change& change : others_) {
    if (change.kind == ChangeKind::kBackupEnd) {
      const Lsn start(static_cast<uint64_t>(change.time));
      backup_ended_ |= start == in_.label.start;
      if (start == in_.label.start) result_.backup_end = record.end;
      if (!in_.of_standby && start == in_.second.start) second_end_ = record.start;
    }
    if (change.kind == ChangeKind::kParameters) RETURN_IF_ERROR(TakeParameters(change, record));
    switched_ |= change.kind == ChangeKind::kTimeline && change.number != change.number2;
    restarted_ |= change.kind == ChangeKind::kTimeline ||
                  (change.kind == ChangeKind::kCheckpoint && change.flags != 0 &&
                   (in_.running || record.start != in_.control.checkpoint));
    if (ledger_ != nullptr) ledger_->Take(change);
    files_.Take(change, record);
    two_phase_.Take(change, record);
    RETURN_IF_ERROR(slrus_.Take(change, record, view_.rmid()));
  }
  return {};
}

Status ClusterVerifier::TakeParameters(const Change& change, const WalRecord& record) {
  RETURN_IF_ERROR(pg::CheckWalLevel(change.payload, record.start));
  const auto parameters = pg::ReadParameterChange(change.payload);
  hints_changed_ |= (parameters->wal_log_hints != 0) != in_.base_control.wal_log_hints;
  return {};
}

Result<VerifyResult> VerifyInputs(const VerifyOptions& options, ClusterInputs inputs,
                                  LedgerRun* ledger) {
  const auto make = [&options](ClusterInputs of_look, RunningServer* server,
                               const ClusterLook* first) {
    return std::make_unique<ClusterVerifier>(options, std::move(of_look), nullptr, server,
                                             static_cast<const ClusterVerifier*>(first));
  };
  if (inputs.running) return VerifyRunning(options, std::move(inputs), make);
  ClusterVerifier verifier(options, std::move(inputs), ledger, nullptr, nullptr);
  ASSIGN_OR_RETURN(VerifyResult result, verifier.Run());
  RETURN_IF_ERROR(verifier.Describe(&result));
  return result;
}

}  // namespace

Result<std::unique_ptr<BaseBackup>> OpenComparedWith(const std::string& path,
                                                     const BaseBackupOptions& options) {
  ASSIGN_OR_RETURN(const bool is_there, IsDirectory(path, Links::kFollow));
  ASSIGN_OR_RETURN(const bool is_plain, IsDirectory(path + "/global", Links::kFollow));
  if (is_plain || !is_there) return DataDirectory(path);
  auto backup = OpenBaseBackup(path, options);
  if (!backup) backup.error().message += " (is this a data directory?)";
  return backup;
}

Result<VerifyResult> VerifyBackup(const VerifyOptions& options, const BaseBackup& base,
                                  const BaseBackup* data) {
  if (data != nullptr && (options.until_lsn || options.until_time))
    return MakeError(ErrorCode::kInvalidArgument,
                     "replay to a target cannot be compared with a data directory");
  RETURN_IF_ERROR(CheckLedgerOptions(options, data != nullptr));
  return Guarded([&]() -> Result<VerifyResult> {
    const auto started = std::chrono::steady_clock::now();
    std::optional<RateLimit> limit;
    std::unique_ptr<BaseBackup> limited_base, limited_data;
    if (options.max_rate > 0) {
      limit.emplace(options.max_rate);
      limited_base = LimitRate(base, &*limit);
      if (data != nullptr) limited_data = LimitRate(*data, &*limit);
    }
    const BaseBackup& read = limit ? *limited_base : base;
    const auto verify = [&options](ClusterInputs inputs, LedgerRun* ledger) {
      return VerifyInputs(options, std::move(inputs), ledger);
    };
    Result<VerifyResult> result;
    if (options.ledger.empty()) {
      ASSIGN_OR_RETURN(auto inputs,
                       ReadClusterInputs(options, read, limited_data ? limited_data.get() : data));
      result = verify(std::move(inputs), nullptr);
    } else {
      result = VerifyWithLedger(options, read, verify);
    }
    if (!result) return result;
    result->elapsed_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return result;
  });
}

Result<VerifyResult> VerifyCluster(const VerifyOptions& options, const std::string& base_backup,
                                   const std::string& data_directory) {
  const BaseBackupOptions opening{.spool_directory = options.spill_directory};
  ASSIGN_OR_RETURN(const auto base, OpenBaseBackup(base_backup, opening));
  std::unique_ptr<BaseBackup> data;
  if (!data_directory.empty()) {
    ASSIGN_OR_RETURN(data, OpenComparedWith(data_directory, opening));
  }
  return VerifyBackup(options, *base, data.get());
}

}  // namespace neon_redo

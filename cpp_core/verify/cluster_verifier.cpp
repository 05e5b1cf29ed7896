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
#include "cpp_core/verify/cluster_verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <vector>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/verify/cluster_consumer.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/last_records.h"
#include "cpp_core/verify/subjects.h"

namespace neon_redo {

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
  RETURN_IF_ERROR(files_.TakeBase(in_.base_files, *in_.control.version, reads_backup()));
  CommitLog log(in_.base, in_.base_control.oldest_xid, in_.base_control.next_xid);
  RETURN_IF_ERROR(two_phase_.ReadBase(in_.base, in_.base_files, *in_.control.version,
                                      in_.base_control.next_full_xid, &log, !options_.quick));
  if (resumes())
    RETURN_IF_ERROR(Resume());
  else if (proves_backup())
    RETURN_IF_ERROR(
        proof_.Read(in_.base_control, in_.base_files, files_.base().forks, in_.has_label));
  if (running_ != nullptr) RETURN_IF_ERROR(running_->BeginLook());
  if (wanted_ != nullptr) RETURN_IF_ERROR(FindWanted());
  const std::set<BlockTag>* only = wanted_ != nullptr ? &wanted_blocks_ : nullptr;
  if (running_ != nullptr && running_->only() != nullptr) only = running_->only();
  auto spoilt = Pass(options_.engine, only, true);
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
  if (in_.crashed) RETURN_IF_ERROR(CheckNoMoreWal(options_, in_, result_.end));
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
  if (wanted_ != nullptr) return CompareWanted();
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
                                                      reads_backup(), ledger_, files_);
    consumer->TakeBadPages(wanted_ != nullptr ? &bad_pages_ : nullptr);
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
    needed_pages_.merge(consumer->needed);
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

}  // namespace neon_redo

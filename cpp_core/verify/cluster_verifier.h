// One verification of a cluster or backup: replay of its WAL, and all comparisons.
#ifndef NEON_REDO_VERIFY_CLUSTER_VERIFIER_H_
#define NEON_REDO_VERIFY_CLUSTER_VERIFIER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "cpp_core/base/memory_budget.h"
#include "cpp_core/replay/page_replay.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/backup_proof.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/cluster_inputs.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/ledger_run.h"
#include "cpp_core/verify/options.h"
#include "cpp_core/verify/page_check.h"
#include "cpp_core/verify/replay_end.h"
#include "cpp_core/verify/running_looks.h"
#include "cpp_core/verify/slru_check.h"
#include "cpp_core/verify/two_phase_check.h"
#include "cpp_core/verify/unchanged_check.h"
#include "cpp_core/verify/wanted.h"
#include "neon_redo/ingest.h"
#include "neon_redo/verify.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

class ClusterVerifier : public ClusterLook {
 public:
  // ledger: null where there is none. running: null if no server runs on what is compared. earlier: the
  // first look at it; null: this is it. wanted: the pages that are looked at, without a ledger and with something to
  // compare with; null: all.
  ClusterVerifier(const VerifyOptions& options, ClusterInputs inputs, LedgerRun* ledger,
                  RunningServer* running, const ClusterVerifier* earlier, const WantedPages* wanted)
      : options_(options),
        in_(std::move(inputs)),
        ledger_(ledger),
        running_(running),
        earlier_(earlier),
        wanted_(wanted),
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
  bool proves_backup() const { return reads_backup() && earlier_ == nullptr; }
  bool reads_backup() const { return !options_.quick && wanted_ == nullptr; }
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
  Lsn WantedEnd() const;
  Status FindSecondEnd();
  Status FindWanted();
  Status FindBadPages();
  Status ReadWanted(PageReplay* replay, bool first_pass);
  Status CompareWanted();
  bool IsAboutWanted(const Mismatch& mismatch) const;
  bool IsChanged(const BlockTag& tag) const;
  void CountWanted();
  Status CheckEnd(const WalReader& reader, const ReplayEnd& replay_end, Lsn last) const;
  void TakeEnd(const WalReader& reader, const ReplayEnd& end, bool has_enough);
  std::string EndReason(const WalReader& reader, const ReplayEnd& end) const;
  std::string EndOfCompared() const;
  Status Take(const WalRecord& record, bool first_pass, PageReplay* replay);
  Status TakeOthers(const WalRecord& record);

  const VerifyOptions& options_;
  const ClusterInputs in_;
  LedgerRun* const ledger_;
  RunningServer* const running_;
  const ClusterVerifier* const earlier_;
  const WantedPages* const wanted_;
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
  // With wanted_: what it stands for, and its WAL.
  std::unique_ptr<WantedWal> wanted_wal_;
  std::set<BlockTag> wanted_blocks_;
  std::set<RelFileNode> wanted_relations_;
  ForkSizes wanted_ends_;                  // as touched_, by the index
  std::map<BlockTag, BadPage> bad_pages_;  // in the base backup
  std::set<BlockTag> needed_pages_;        // of them, by records
  bool backup_ended_ = false;
  bool hints_changed_ = false;  // by a record
  bool restarted_;              // the server was, perhaps after a crash
  bool switched_ = false;       // WAL begins a timeline
  Lsn second_end_;  // start of the record that ends the second backup, or ClusterInputs::second_end; 0: not seen yet
  Lsn settled_;  // ClusterInputs::second.start, or of a running server a later checkpoint's redo point
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CLUSTER_VERIFIER_H_

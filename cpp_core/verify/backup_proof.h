// Whether a base backup has all that it must have, by its manifest, its own files and the WAL.
#ifndef NEON_REDO_VERIFY_BACKUP_PROOF_H_
#define NEON_REDO_VERIFY_BACKUP_PROOF_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/manifest.h"
#include "cpp_core/verify/backup_catalog.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/slru_check.h"
#include "cpp_core/verify/two_phase_check.h"
#include "neon_redo/ingest.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// Read, then Take each record, then FindCatalogs, then Finish. Not thread-safe.
class BackupProof {
 public:
  // Both must outlive the object.
  BackupProof(const VerifyOptions& options, const BaseBackup& base)
      : options_(options), base_(base) {}

  // Reads the backup. Errors: a file or directory that this user may not read. list: its files, which
  // must outlive the object, without pg_wal. forks: the relation files among them. has_manifest: a manifest
  // that is there is of this backup.
  Status Read(const ControlData& control, const BaseFiles& list,
              const std::map<BlockTag, ForkFiles>& forks, bool has_manifest = true);

  // Instead of Read: an earlier run has read these same files, and taken WAL since the backup's start.
  // end: of that WAL. What is loaded is not to be used unless in->ok() afterwards.
  void Resume(const ControlData& control, const BaseFiles& list, Lsn end, StateReader* in);
  // For that, after Finish, where nothing is lost.
  void Save(StateWriter* out) const;
  // The content of each file that Read has read (ContentHash).
  const std::map<std::string, uint64_t>& contents() const { return contents_; }
  // Resumed: why the earlier run's knowledge is not enough; empty: it is.
  const std::string& doubt() const { return doubt_; }

  // Takes a record. others: see PageReplay::Take. ended: it is after the backup's end.
  void Take(const WalRecord& record, const RecordView& view, const ChangeList& others, bool ended);

  // After all WAL: which blocks FindCatalogs's relations have must be known before pages are
  // finished.
  Status FindCatalogs(const FileCheck& files);
  // Null before FindCatalogs, and where the backup was not read.
  const CatalogRelations* const* relations() const { return &relations_; }
  void Add(ChangedCatalogs changed) { catalog_->Add(std::move(changed)); }

  struct Wal {
    const FileCheck& files;  // have taken all WAL
    SlruCheck* slrus;
    const TwoPhaseCheck& two_phase;
    uint32_t next_xid;  // at the end of WAL
  };
  // Adds losses and counts to *result. Errors: the machine is short of something.
  Status Finish(const Wal& wal, VerifyResult* result);

  // Pages that are damaged and that WAL does not make good.
  bool IsBad(const BlockTag& tag) const { return bad_.contains(tag) || read_bad_.contains(tag); }
  // After Finish: the file is missing, short or unreadable.
  bool HasReported(const std::string& path) const { return missing_.contains(path); }
  // After Finish: the relation's first file, its database's directory or its tablespace is missing. File
  // node 0: the directory of a database in a tablespace.
  bool HasLost(const RelFileNode& rel) const;

 private:
  Result<std::optional<BackupManifest>> ReadManifest(const BaseBackup& backup);
  Status ReadLink(const BaseBackup& link);
  Status CheckTablespaces();
  void ReportTablespaces();
  void CheckManifestFiles(const BaseBackup& backup, const BaseFiles& list,
                          const BackupManifest& manifest);
  bool IsInLostTablespace(const std::string& path) const;
  void ReportLost();
  void TakeCounts(const BackupReadResult& result);
  void ReportAbsentDirectories();
  void FindGaps(const std::map<BlockTag, ForkFiles>& forks);
  void TakeBlock(const BlockRef& ref);
  void TakeChange(const Change& change);
  void MakeGood(const BlockTag& from, const BlockTag& to);
  Result<bool> ReadLog(const Wal& wal, const SlruBlock& block, uint8_t* page);
  void ReportBadPages(const FileCheck& files);
  void ReportBadPage(const BlockTag& tag, const BadPage& bad, bool was_read);
  void CheckSegments(const FileCheck& files);
  void CheckOwnVersion();
  void Report(const BlockTag& tag, const std::string& path, Damage damage, std::string problem,
              bool note = false);

  const VerifyOptions& options_;
  const BaseBackup& base_;
  ControlData control_;
  const BaseFiles* list_ = nullptr;  // not null from Read on
  std::optional<BackupManifest> manifest_;
  Lsn manifest_end_;  // of the WAL that the backup needs, by the manifest; 0: not known
  std::map<BlockTag, BadPage> bad_;       // that WAL has not touched yet
  std::map<BlockTag, BadPage> read_bad_;  // that WAL changes without making them whole
  // Forks with files after one that is not full: the blocks in between, from and to, as long as WAL
  // up to the backup's end neither adds nor cuts off any of them.
  std::map<BlockTag, std::pair<uint32_t, uint32_t>> gaps_;
  std::set<uint32_t> tablespaces_;                    // that WAL creates or drops
  std::set<uint32_t> dropped_tablespaces_;            // while the backup was taken
  std::map<uint32_t, std::string> lost_tablespaces_;  // what is wrong, unless they were dropped
  std::set<std::string> missing_;  // or short or unreadable: what is reported already
  std::optional<BackupCatalog> catalog_;
  const CatalogRelations* relations_ = nullptr;
  Status log_status_;  // of ReadLog: the machine was short of something
  BackupCounts counts_;
  Findings findings_;
  std::map<std::string, uint64_t> contents_;
  // Resumed, until FindCatalogs.
  std::optional<KnownCatalogs> known_;
  Lsn known_end_;
  std::string doubt_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BACKUP_PROOF_H_

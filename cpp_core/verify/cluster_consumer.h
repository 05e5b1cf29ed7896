// What becomes of the rebuilt pages of one partition, when a cluster or a backup is verified.
#ifndef NEON_REDO_VERIFY_CLUSTER_CONSUMER_H_
#define NEON_REDO_VERIFY_CLUSTER_CONSUMER_H_

#include <map>
#include <set>

#include "cpp_core/replay/page_replay.h"
#include "cpp_core/verify/backup_catalog.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/ledger_run.h"
#include "cpp_core/verify/page_check.h"
#include "cpp_core/verify/relation_files.h"
#include "cpp_core/verify/unchanged_check.h"

namespace neon_redo {

// Gives pages of the base backup, and compares the finished ones. Not thread-safe.
class ClusterConsumer : public PageConsumer {
 public:
  // relations: see ChangedCatalogs. reads_all: the base backup is read as a whole, and what cannot be
  // read in it is reported with it.
  // ledger: null where there is none. files: has taken all WAL before blocks come. Both outlive the object.
  ClusterConsumer(const PageCheck::Options& options, const CatalogRelations* const* relations,
                  bool reads_all, LedgerRun* ledger, const FileCheck& files);
  // Of some pages only: those that are damaged in the base backup. Null: all pages are looked at.
  void TakeBadPages(const std::map<BlockTag, BadPage>* bad) {
    bad_ = bad;
    notes_changed_ |= bad != nullptr;
  }

  Result<bool> ReadBase(const BlockTag& tag, uint8_t* page) override;
  Status Take(FinishedBlock* block) override;

  PageCheck check;
  ForkSizes touched, sought;  // see FileCheck::Expectations
  ChangedCatalogs catalogs;
  ChangedBlocks changed;
  std::set<BlockTag> needed;  // of the damaged pages, those that records need

 private:
  bool NoteInLedger(FinishedBlock* block);

  RelationFiles base_;
  const pg::Version& version_;
  const bool reads_all_;
  bool notes_changed_;
  const std::map<BlockTag, BadPage>* bad_ = nullptr;
  LedgerRun* const ledger_;
  const FileCheck& files_;
  Status base_status_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CLUSTER_CONSUMER_H_

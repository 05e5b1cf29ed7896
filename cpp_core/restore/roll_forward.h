// The changes of WAL, applied to a copy of the base backup.
#ifndef NEON_REDO_RESTORE_ROLL_FORWARD_H_
#define NEON_REDO_RESTORE_ROLL_FORWARD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "cpp_core/base/memory_budget.h"
#include "cpp_core/ingest/origin_progress.h"
#include "cpp_core/pg/origin_file.h"
#include "cpp_core/replay/page_replay.h"
#include "cpp_core/restore/file_changes.h"
#include "cpp_core/restore/free_space.h"
#include "cpp_core/restore/output.h"
#include "cpp_core/restore/page_writer.h"
#include "cpp_core/restore/restore.h"
#include "cpp_core/restore/survey.h"
#include "cpp_core/verify/cluster_inputs.h"
#include "cpp_core/verify/slru_check.h"
#include "cpp_core/verify/two_phase_check.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// What of a restore's options a replay needs.
ReplayOptions ReplayOptionsOf(const RestoreOptions& options);

// Applies what lies before survey.point, which is there. Not thread-safe.
class RollForward {
 public:
  // All must outlive the object. bad_pages: of the base, as they were copied. tablespaces: see FileChanges.
  RollForward(const RestoreOptions& options, const ClusterInputs& inputs, const VerifyOptions& wal,
              const Survey& survey, const OutputDirectory& output,
              const std::map<BlockTag, BadPage>& bad_pages,
              const std::map<uint32_t, std::string>& tablespaces);

  // Adds to *result what was done. Errors: WAL or the output cannot be read or written; kCorrupt: a page could
  // not be rebuilt, or one of the base is damaged and WAL does not make it whole.
  Status Run(RestoreResult* result);

 private:
  Status Stage(Lsn from, Lsn to);
  Result<std::set<BlockTag>> Pass(Engine engine, const std::set<BlockTag>* only, Lsn from, Lsn to);
  Status ReadAll(PageReplay* replay, bool first_pass, Lsn from, Lsn to);
  Status Take(const WalRecord& record, bool first_pass, PageReplay* replay);
  Status TakeOthers(const WalRecord& record);
  Status CopyDatabase(const Change& change);
  Status Gather(PageWriter* writer);
  Status CheckBadPages();
  Status WriteSlrus();
  Status WritePrepared();
  Status ReadOrigins();
  void TakeOrigin(const OriginProgress& progress);

  const RestoreOptions& options_;
  const ClusterInputs& in_;
  const VerifyOptions& wal_;
  const Survey& survey_;
  const OutputDirectory& output_;
  const std::map<BlockTag, BadPage>& bad_pages_;
  const pg::Version& version_;
  const std::unique_ptr<BaseBackup> copied_;  // the output, as pages are read there
  const PageWriterOptions writing_;
  MemoryBudget other_memory_;  // of what is no relation's page
  FileChanges files_;
  FreeSpaceMaps maps_;
  SlruCheck slrus_;
  TwoPhaseCheck two_phase_;
  pg::Origins origins_;
  Ingest ingest_;
  RecordView view_;
  ChangeList changes_;
  std::set<BlockTag> made_good_;
  std::vector<std::string> failures_;
  uint64_t failed_ = 0;
  RestoreResult* result_ = nullptr;
};

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_ROLL_FORWARD_H_

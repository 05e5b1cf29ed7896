#include "cli/page_inputs.h"

#include <utility>

#include "cli/common_options.h"
#include "cpp_core/base/try.h"
#include "cpp_core/store/slru_page.h"

namespace neon_redo::cli {

Result<PageInputs> OpenPageInputs(const BackupArguments& backup, WalSources sources,
                                  std::optional<uint32_t> only) {
  sources.stanza = backup.options.stanza;
  sources.cipher_pass_file = backup.options.cipher_pass_file;
  if (!backup.given()) {
    ASSIGN_OR_RETURN(auto wal, WalSet::Open(sources));
    return PageInputs{std::move(wal), nullptr, {}, {}, {}, false};
  }
  ASSIGN_OR_RETURN(auto opened, OpenBackup(backup, only));
  ASSIGN_OR_RETURN(const auto control, ReadControlData(*opened));
  ASSIGN_OR_RETURN(const auto start, ReadReplayStart(*opened, control));
  if (!start.has_label()) SayNotes({start.note});
  sources.start = start.label.start;
  sources.start_timeline = start.label.timeline;
  ASSIGN_OR_RETURN(auto wal, WalSet::Open(sources));
  RETURN_IF_ERROR(
      CheckBackupBeforeWal(opened->path(), start.label, control, wal, sources.timeline));
  ASSIGN_OR_RETURN(const auto files, opened->ListData());
  return PageInputs{std::move(wal),    std::move(opened),   control,
                    start.label.start, start.consistent_at, HasCommitTimestamps(files)};
}

}  // namespace neon_redo::cli

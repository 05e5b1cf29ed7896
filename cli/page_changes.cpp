#include "cli/page_changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/base_content.h"
#include "cli/common_options.h"
#include "cli/index_options.h"
#include "cli/progress_bar.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/store/recorder.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/wal/open.h"

namespace neon_redo::cli {

namespace {

// Reads all WAL up to lsn. Returns the end of the last record.
Result<Lsn> Record(const WalSet& wal, const WalRange& range, bool track_commit_timestamp,
                   Recorder* recorder) {
  ASSIGN_OR_RETURN(const auto reader, OpenWal(wal, range));
  Ingest ingest({.track_commit_timestamp = track_commit_timestamp});
  ProgressBar bar(true);
  uint64_t taken = 0;
  const Status status = ingest.TakeAll(
      reader.get(),
      [&](const ChangeList& changes, const RecordView& view, const WalRecord& record) -> Status {
        if (taken++ % 4096 == 0)
          bar.Show("reading WAL", reader->bytes_read(), reader->bytes_total());
        for (const Change& change : changes)
          if (change.kind == ChangeKind::kParameters)
            RETURN_IF_ERROR(pg::CheckWalLevel(change.payload, record.start));
        recorder->Take(changes, view, record);
        return {};
      });
  bar.Clear();
  SayNotes(reader->notes());
  if (!status) return tl::unexpected(status.error());
  return reader->end_of_wal();
}

}  // namespace

Result<PageChanges> OpenPageChanges(const PageSources& sources, const PageInputs& inputs,
                                    const PageKey& key, Lsn lsn) {
  WalRange range{std::nullopt, lsn, sources.timeline};
  if (inputs.backup) range.from = inputs.start;
  if (range.from && lsn < *range.from)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the base backup was not complete at {}, since its WAL begins at "
                                 "{}: an earlier backup is needed",
                                 lsn.ToString(), range.from->ToString()));
  if (lsn == kEndOfWal) range.to = std::nullopt;
  PageChanges out;
  Lsn end;
  if (inputs.wal.restores()) {
    auto recorder = std::make_unique<Recorder>(key);
    ASSIGN_OR_RETURN(end, Record(inputs.wal, range, inputs.track_commit_timestamp, recorder.get()));
    out.source = std::move(recorder);
  } else {
    ASSIGN_OR_RETURN(out.index, OpenIndex(inputs.wal, range, sources.index, sources.jobs));
    end = out.index->end();
    if (end < lsn && out.index->damage()) return tl::unexpected(*out.index->damage());
    auto changes = std::make_unique<IndexedChanges>(out.index.get(), range.from.value_or(Lsn()),
                                                    inputs.track_commit_timestamp);
    RETURN_IF_ERROR(changes->CheckWalLevel(lsn));
    out.source = std::move(changes);
  }
  if (lsn == kEndOfWal || end >= lsn) return out;
  // Between the last record before lsn and lsn there is nothing; that WAL ends is another thing.
  const auto timeline = out.index ? std::optional(out.index->timeline()) : sources.timeline;
  auto reader = OpenWal(inputs.wal, {end, std::nullopt, timeline});
  auto next = reader ? (*reader)->Next() : tl::unexpected(reader.error());
  if (next && *next) return out;
  if (!next && next.error().code != ErrorCode::kNotFound) return tl::unexpected(next.error());
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("the WAL in {} ends at {}, before {}", NamePaths(inputs.wal.given()),
                               end.ToString(), lsn.ToString()));
}

Result<PageInputs> OpenInputs(const PageSources& sources, std::optional<uint32_t> spc) {
  return OpenPageInputs(sources.base_backup,
                        {.directories = sources.wal,
                         .restore_command = sources.restore_command,
                         .timeline = sources.timeline},
                        spc);
}

BasePage BasePagesOf(const PageInputs& inputs) {
  if (!inputs.backup) return {};
  return PagesOfBackup(*inputs.backup, *inputs.control.version, inputs.control.checksums);
}

Result<WorkerOptions> WorkerOf(const PageSources& sources, const PageInputs& inputs) {
  WorkerOptions worker = sources.worker;
  worker.version = &inputs.wal.version();
  if (!inputs.backup) return worker;
  worker.version = inputs.control.version;
  RETURN_IF_ERROR(CheckWorkerFiles(worker, *inputs.control.version, Engine::kAuto));
  return worker;
}

Result<RelFileNode> FindTable(const PageSources& sources, const TableArguments& table, Lsn lsn) {
  if (!sources.restore_command.empty())
    return MakeError(ErrorCode::kUnsupported,
                     "the name of a table is looked up by an index of the WAL, and a restore "
                     "command cannot list its archive: give the archive's directory by --wal");
  ASSIGN_OR_RETURN(const auto inputs, OpenInputs(sources, std::nullopt));
  ASSIGN_OR_RETURN(const auto worker, WorkerOf(sources, inputs));
  ASSIGN_OR_RETURN(const auto changes, OpenPageChanges(sources, inputs, {}, lsn));
  CatalogsOfWal catalogs(inputs, changes.index.get(), worker);
  const auto find = [&]() -> Result<RelationName> {
    ASSIGN_OR_RETURN(const auto names, catalogs.At(lsn == kEndOfWal ? changes.index->end() : lsn));
    return FindTable(table, names.get());
  };
  const auto found = find();
  SayNotes(changes.index->TakeNotes());
  if (!found) return tl::unexpected(catalogs.Explain(found.error()));
  return found->file;
}

void StampChecksum(const PageKey& key, uint8_t* page) {
  if (key.ToBlock() && !PageView(page).is_new())
    pg::SetChecksum(page, PageChecksum(page, key.field6));
}

}  // namespace neon_redo::cli

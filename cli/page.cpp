// neon-redo page: one page as it was at an LSN.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/backup_options.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cli/index_options.h"
#include "cli/page_inputs.h"
#include "cli/progress_bar.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/store/page_reader.h"
#include "cpp_core/store/recorder.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/relation_files.h"
#include "cpp_core/wal/open.h"

namespace neon_redo::cli {

namespace {

constexpr Lsn kEnd(~uint64_t{0});  // --lsn end

struct PageArguments {
  std::vector<std::string> names;  // one: of the page
  std::vector<std::string> wal;
  std::string restore_command;
  BackupArguments base_backup;
  Lsn lsn;
  std::string index;
  int jobs = 1;
  std::optional<uint32_t> timeline;
  std::string output;
  bool json = false;
  WorkerOptions worker;
};

// What the server would refuse to read (PageIsVerifiedExtended in storage/page/bufpage.c) must not
// get a new checksum.
Status CheckPage(const BlockTag& tag, const uint8_t* page, const std::string& file) {
  const PageView view(page);
  const bool is_zeroed =
      std::all_of(page, page + kBlockSize, [](uint8_t byte) { return byte == 0; });
  if (is_zeroed || (!view.is_new() && view.checksum() == PageChecksum(page, tag.block))) return {};
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("block {} in file \"{}\" of the base backup has a wrong checksum "
                               "({:04X}), so nothing can be rebuilt from it: an intact backup is "
                               "needed",
                               tag.block, file, view.checksum()));
}

// Pages of the base backup.
BasePage PagesOf(const BaseBackup& backup, const pg::Version& version, bool checksums) {
  auto files = std::make_shared<RelationFiles>(&backup, &version);
  return [&backup, files, &version, checksums](const PageKey& key, uint8_t* page) -> Result<bool> {
    if (const auto slru = key.ToSlruBlock()) return ReadSlruPage(backup, *slru, page);
    ASSIGN_OR_RETURN(const auto tag, key.ToBlock());
    ASSIGN_OR_RETURN(const bool found, files->ReadOrFail(tag, page));
    if (!found) return false;
    if (checksums) RETURN_IF_ERROR(CheckPage(tag, page, pg::BlockFilePath(version, tag)));
    return true;
  };
}

void PrintText(const PageKey& key, Lsn lsn, const PageAt& at) {
  fmt::print("{} at {}\n", key.Describe(), lsn == kEnd ? "the end of WAL" : lsn.ToString());
  fmt::print("key:          {}\n", key.ToString());
  fmt::print("made from:    {}\n", at.base);
  fmt::print("changes:      {}{}\n", at.changes,
             at.by_worker ? fmt::format(", {} of them by a worker", at.by_worker) : "");
  if (at.last_change.valid()) fmt::print("last change:  {}\n", at.last_change.ToString());
  if (!key.ToBlock()) return;
  const PageView page(at.page.data());
  if (page.is_new()) {
    fmt::print("new page: all its header says is that it was never initialised\n");
    return;
  }
  fmt::print("pd_lsn:       {}\n", page.lsn().ToString());
  fmt::print("pd_checksum:  {:04X}\n", page.checksum());
  fmt::print("pd_flags:     {:04X}\n", page.flags());
  fmt::print("pd_lower:     {}\n", page.lower());
  fmt::print("pd_upper:     {}\n", page.upper());
  fmt::print("pd_special:   {}\n", page.special());
  fmt::print("page size:    {}, layout version {}\n", page.page_size(), page.layout_version());
  fmt::print("line pointers: {}\n", page.line_pointer_count());
}

void PrintJson(const PageKey& key, Lsn lsn, const PageAt& at) {
  nlohmann::ordered_json out = {{"page", key.Describe()},
                                {"key", key.ToString()},
                                {"lsn", lsn == kEnd ? "end" : lsn.ToString()},
                                {"base", at.base},
                                {"changes", at.changes},
                                {"by_worker", at.by_worker},
                                {"last_change", at.last_change.ToString()}};
  if (key.ToBlock()) {
    const PageView page(at.page.data());
    out["header"] = {{"new", page.is_new()},        {"lsn", page.lsn().ToString()},
                     {"checksum", page.checksum()}, {"flags", page.flags()},
                     {"lower", page.lower()},       {"upper", page.upper()},
                     {"special", page.special()},   {"line_pointers", page.line_pointer_count()}};
  }
  fmt::print("{}\n", JsonText(out));
}

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

// What the page's changes come from: an index, or what a pass over all WAL has found.
struct Changes {
  std::unique_ptr<WalIndex> index;
  std::unique_ptr<ChangeSource> source;
};

Result<Changes> OpenChanges(const PageArguments& arguments, const PageInputs& inputs,
                            const PageKey& key, Lsn lsn) {
  WalRange range{std::nullopt, lsn, arguments.timeline};
  if (inputs.backup) range.from = inputs.start;
  if (lsn == kEnd) range.to = std::nullopt;
  Changes out;
  Lsn end;
  if (inputs.wal.restores()) {
    auto recorder = std::make_unique<Recorder>(key);
    ASSIGN_OR_RETURN(end, Record(inputs.wal, range, inputs.track_commit_timestamp, recorder.get()));
    out.source = std::move(recorder);
  } else {
    ASSIGN_OR_RETURN(out.index, OpenIndex(inputs.wal, range, arguments.index, arguments.jobs));
    end = out.index->end();
    if (end < lsn && out.index->damage()) return tl::unexpected(*out.index->damage());
    auto changes = std::make_unique<IndexedChanges>(out.index.get(), range.from.value_or(Lsn()),
                                                    inputs.track_commit_timestamp);
    RETURN_IF_ERROR(changes->CheckWalLevel(lsn));
    out.source = std::move(changes);
  }
  if (lsn == kEnd || end >= lsn) return out;
  // Between the last record before lsn and lsn there is nothing; that WAL ends is another thing.
  const auto timeline = out.index ? std::optional(out.index->timeline()) : arguments.timeline;
  auto reader = OpenWal(inputs.wal, {end, std::nullopt, timeline});
  auto next = reader ? (*reader)->Next() : tl::unexpected(reader.error());
  if (next && *next) return out;
  if (!next && next.error().code != ErrorCode::kNotFound) return tl::unexpected(next.error());
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("the WAL in {} ends at {}, before {}", NamePaths(inputs.wal.given()),
                               end.ToString(), lsn.ToString()));
}

Result<PageAt> ReadPage(const PageArguments& arguments, const PageKey& key, Lsn lsn) {
  const auto block = key.ToBlock();
  ASSIGN_OR_RETURN(const auto inputs, OpenPageInputs(arguments.base_backup,
                                                     {.directories = arguments.wal,
                                                      .restore_command = arguments.restore_command,
                                                      .timeline = arguments.timeline},
                                                     block ? block->rel.spc : uint32_t{0}));
  BasePage base;
  WorkerOptions worker = arguments.worker;
  worker.version = &inputs.wal.version();
  if (inputs.backup) {
    base = PagesOf(*inputs.backup, *inputs.control.version, inputs.control.checksums);
    worker.version = inputs.control.version;
    RETURN_IF_ERROR(CheckWorkerFiles(worker, *inputs.control.version, Engine::kAuto));
  }
  ASSIGN_OR_RETURN(const auto changes, OpenChanges(arguments, inputs, key, lsn));
  PageReader reader(changes.source.get(), base, worker);
  auto page = reader.Read(key, lsn);
  if (changes.index) SayNotes(changes.index->TakeNotes());
  if (page && key.ToBlock() && !PageView(page->page.data()).is_new()) {
    // So that it can be put in place on a cluster with data checksums.
    pg::SetChecksum(page->page.data(), PageChecksum(page->page.data(), key.field6));
  }
  return page;
}

Outcome Run(const PageArguments& arguments, const Options& options) {
  if (arguments.names.empty()) return tl::unexpected(options.Misuse("no page specified"));
  if (std::string bad = CheckBaseBackup(arguments.base_backup); !bad.empty())
    return tl::unexpected(options.Misuse(bad));
  if (arguments.wal.empty() && arguments.restore_command.empty())
    return tl::unexpected(options.Misuse("option --wal or --restore-command is required"));
  ASSIGN_OR_RETURN(const PageKey key, ParsePageName(arguments.names[0]));
  ASSIGN_OR_RETURN(const PageAt page, ReadPage(arguments, key, arguments.lsn));
  if (!arguments.output.empty()) {
    RETURN_IF_ERROR(WritePrivateFile(arguments.output, page.page));
  }
  if (arguments.json) {
    PrintJson(key, arguments.lsn, page);
  } else {
    PrintText(key, arguments.lsn, page);
  }
  return kExitFine;
}

// --lsn: an LSN, or "end".
Status ReadPosition(const std::string& text, Lsn* lsn) {
  if (text == "end") {
    *lsn = kEnd;
    return {};
  }
  const auto parsed = Lsn::Parse(text);
  if (!parsed)
    return MakeError(ErrorCode::kInvalidArgument,
                     "it must be an LSN, such as 16/B374D848, or \"end\"");
  *lsn = *parsed;
  return {};
}

}  // namespace

CommandFunction DeclarePage(Options* options) {
  auto arguments = std::make_shared<PageArguments>();
  options->Usage(
      "[OPTION]... --wal=DIR... --lsn=LSN PAGE\n"
      "  neon-redo page [OPTION]... --restore-command=COMMAND --base-backup=PATH\n"
      "    --lsn=LSN PAGE");
  options->Introduction(
      "PAGE is the path of a file and a block number, such as base/5/16384/7,\n"
      "base/5/16384_vm/0, 1663/5/16384/7 or pg_xact/0000/3, or a page server's key.\n");
  options->Arguments(&arguments->names, 1);
  AddWalDirectories(options, &arguments->wal);
  AddRestoreCommand(options, &arguments->restore_command);
  AddUntestedVersion(options);
  options
      ->Value(
          "--lsn=LSN",
          [arguments](const std::string& text) { return ReadPosition(text, &arguments->lsn); },
          "show the page as it was after the last record that ends at or before this LSN; \"end\" "
          "means the end of WAL")
      .Required();
  AddBaseBackup(
      options, &arguments->base_backup,
      "base backup that supplies the page where WAL alone cannot, in any layout that verify "
      "reads");
  AddTimeline(options, &arguments->timeline);
  AddIndex(options, &arguments->index);
  AddIndexJobs(options, &arguments->jobs);
  options->Path("--output=FILE", &arguments->output, "write the page's 8192 bytes to this file");
  AddFormat(options, &arguments->json, "text (default) or json");
  AddWorkerOptions(options, &arguments->worker);
  options->Notes(
      "The WAL is indexed first, where it is not yet, so that the next page is found\n"
      "quickly; a restore command's WAL is read as a whole. The command never writes to\n"
      "the WAL directory or to the backup. The page that it\n"
      "writes has a valid checksum. WAL contains neither hint bits nor the free space\n"
      "map: hint bits are those of the last full-page image.\n\n"
      "Examples:\n"
      "  psql -Atc \"select pg_relation_filepath('accounts')\"\n"
      "  neon-redo page base/5/16384/7 --wal=archive --base-backup=backup \\\n"
      "    --lsn=0/15000028\n"
      "  neon-redo page pg_xact/0000/0 --wal=archive --base-backup=backup --lsn=end \\\n"
      "    --output=page\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

// neon-redo page: one page as it was at an LSN.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/store/page_reader.h"
#include "cpp_core/store/recording.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/data_directory.h"

namespace neon_redo::cli {

namespace {

constexpr Lsn kEnd(~uint64_t{0});  // --lsn end

struct Options {
  std::string name;
  std::string wal;
  std::string base_backup;
  std::string lsn;
  std::string store;
  uint64_t memory = 128 << 20;
  std::optional<uint32_t> timeline;
  std::string output;
  std::string format = "text";
  WorkerOptions worker;
};

int Trouble(const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "neon-redo page: error: {}\n", message);
  return kExitTrouble;
}

// Pages of the base backup, and sizes of its forks.
BasePage PagesOf(const std::string& directory) {
  auto files = std::make_shared<RelationFiles>(directory);
  return [directory, files](const PageKey& key, uint8_t* page) -> Result<bool> {
    if (const auto slru = key.ToSlruBlock()) return ReadSlruPage(directory, *slru, page);
    ASSIGN_OR_RETURN(const auto tag, key.ToBlock());
    ASSIGN_OR_RETURN(const auto found, files->Read(tag, page));
    return found == RelationFiles::Found::kPage;
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
  fmt::print("{}\n", out.dump());
}

Result<std::unique_ptr<Store>> OpenStore(const Options& options) {
  if (options.store.empty()) return MakeMemoryStore();
  return OpenRocksDbStore({options.store, options.memory});
}

Result<PageAt> ReadPage(const Options& options, const PageKey& key, Lsn lsn) {
  RecordingOptions recording;
  recording.wal = {options.wal, std::nullopt, lsn, options.timeline};
  BasePage base;
  if (!options.base_backup.empty()) {
    ASSIGN_OR_RETURN(const auto label, ReadBackupLabel(options.base_backup));
    recording.wal.from = label.start;
    recording.track_commit_timestamp = HasCommitTimestamps(options.base_backup);
    base = PagesOf(options.base_backup);
  }
  if (options.store.empty()) recording.recorder.only = key;
  ProgressBar bar(true);
  recording.progress = [&](uint64_t done, uint64_t total) { bar.Show("reading WAL", done, total); };
  ASSIGN_OR_RETURN(auto store, OpenStore(options));
  const auto end = RecordWal(store.get(), recording);
  bar.Clear();
  if (!end) return tl::unexpected(end.error());
  if (*end < lsn && lsn != kEnd) {
    // Between the last record before lsn and lsn there is nothing; that WAL ends is another thing.
    auto reader = WalReader::Open({options.wal, *end, std::nullopt, options.timeline});
    auto next = reader ? (*reader)->Next() : tl::unexpected(reader.error());
    if (!next || !*next)
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("the WAL in {} ends at {}, before {}", options.wal,
                                   end->ToString(), lsn.ToString()));
  }
  PageReader reader(store.get(), base, options.worker);
  auto page = reader.Read(key, lsn);
  if (page && key.ToBlock() && !PageView(page->page.data()).is_new()) {
    // So that it can be put in place on a cluster with data checksums.
    const uint16_t checksum = PageChecksum(page->page.data(), key.field6);
    std::memcpy(page->page.data() + 8, &checksum, 2);
  }
  return page;
}

int Run(const Options& options) {
  const auto key = ParsePageName(options.name);
  if (!key) return Trouble(key.error().message);
  Lsn lsn = kEnd;
  if (options.lsn != "end") {
    const auto parsed = Lsn::Parse(options.lsn);
    if (!parsed) return Trouble("--lsn: " + parsed.error().message);
    lsn = *parsed;
  }
  const auto page = ReadPage(options, *key, lsn);
  if (!page) return Trouble(page.error().message);
  if (!options.output.empty()) {
    std::ofstream file(options.output, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(page->page.data()), kBlockSize);
    file.close();
    if (!file) return Trouble(fmt::format("could not write to {}", options.output));
  }
  if (options.format == "json") {
    PrintJson(*key, lsn, *page);
  } else {
    PrintText(*key, lsn, *page);
  }
  return kExitFine;
}

}  // namespace

void AddPage(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app->add_subcommand("page", "Show, or write to a file, a page as it was at an LSN");
  command
      ->add_option("page", options->name,
                   "The page: path of its file and block, as base/5/16384/7, base/5/16384_vm/0, "
                   "1663/5/16384/7, pg_xact/0000/3, or a page server's key")
      ->required()
      ->type_name("PAGE");
  command->add_option("--wal", options->wal, "Directory of WAL segments, or a data directory")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--lsn", options->lsn,
                   "As after the last record that lies wholly before it; \"end\": the end of WAL")
      ->required()
      ->type_name("LSN");
  command
      ->add_option("--base-backup", options->base_backup,
                   "Base backup (plain format) to start from, where WAL does not make the page "
                   "whole")
      ->type_name("DIR");
  command
      ->add_option("--store", options->store,
                   "Keep all changes of the WAL in this directory, so that the next question about "
                   "the same WAL is quick")
      ->type_name("DIR");
  command->add_option("--memory", options->memory, "Memory that the store may use, as 512MB")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  command->add_option("--timeline", options->timeline, "Timeline to read (default: the highest)")
      ->type_name("TLI");
  command->add_option("--output", options->output, "Write the 8192 bytes to this file")
      ->type_name("FILE");
  command->add_option("--format", options->format, "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  command
      ->add_option("--bindir", options->worker.bindir,
                   "Directory of the server's programs (default: " NEON_REDO_DEFAULT_BINDIR ")")
      ->type_name("DIR");
  command
      ->add_option("--module", options->worker.module,
                   "Path of neon.so (default: the installed one)")
      ->type_name("FILE");
  command->footer(
      "Never writes to the WAL or the backup. The page written has a valid checksum. Hint bits "
      "and\n"
      "the free space map are not in WAL: hint bits are those of the last image.\n\n"
      "Examples:\n"
      "  neon-redo page base/5/16384/7 --wal archive --base-backup backup --lsn 0/15000028\n"
      "  neon-redo page pg_xact/0000/0 --wal archive --base-backup backup --lsn end --output page\n"
      "  psql -Atc \"select pg_relation_filepath('accounts')\"\n");
  command->callback([options, exit_status] { *exit_status = Run(*options); });
}

}  // namespace neon_redo::cli

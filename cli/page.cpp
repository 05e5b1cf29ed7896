// neon-redo page: one page as it was at an LSN, or what of it changed between two.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/backup_options.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/index_options.h"
#include "cli/page_changes.h"
#include "cli/page_inputs.h"
#include "cli/page_print.h"
#include "cli/page_relation.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/store/page_reader.h"

namespace neon_redo::cli {

namespace {

struct PageArguments {
  std::vector<std::string> names;  // one: of the page; with --table, of a block, or none
  TableArguments table;
  PageSources sources;
  std::optional<Lsn> lsn;
  std::optional<std::pair<Lsn, Lsn>> diff;
  std::string relation;  // instead of a page

  // All pages of a relation.
  bool wants_relation() const { return !relation.empty() || (table.given() && names.empty()); }
  // For the names of relations.
  Lsn moment() const { return diff ? std::max(diff->first, diff->second) : *lsn; }
  std::string output;
  PageStyle style;
};

struct States {
  std::vector<PageState> of;  // one for each LSN
  const pg::Version* version;
};

// The page at each of these LSNs.
Result<States> ReadStates(const PageSources& sources, const PageKey& key,
                          const std::vector<Lsn>& lsns) {
  const auto block = key.ToBlock();
  ASSIGN_OR_RETURN(const auto inputs, OpenInputs(sources, block ? block->rel.spc : uint32_t{0}));
  ASSIGN_OR_RETURN(const auto worker, WorkerOf(sources, inputs));
  ASSIGN_OR_RETURN(
      const auto changes,
      OpenPageChanges(sources, inputs, key, *std::max_element(lsns.begin(), lsns.end())));
  PageReader reader(changes.source.get(), BasePagesOf(inputs), worker);
  States out{{}, worker.version};
  for (const Lsn lsn : lsns) {
    auto page = reader.ReadIfThere(key, lsn);
    if (changes.index) SayNotes(changes.index->TakeNotes());
    if (!page) return tl::unexpected(page.error());
    out.of.push_back({lsn, std::move(*page), reader.absence()});
    if (auto& there = out.of.back().page) StampChecksum(key, there->page.data());
  }
  return out;
}

std::string CheckRelationArguments(const PageArguments& arguments) {
  if (!arguments.lsn) return "option --lsn is required";
  if (arguments.output.empty()) return "option --output is required for a whole relation";
  if (arguments.style.hex || arguments.style.tuples)
    return "options --tuples and --hex are of one page: give one";
  return "";
}

// What is wrong with the options together; empty: nothing.
std::string CheckArguments(const PageArguments& arguments) {
  if (arguments.table.given() && !arguments.relation.empty())
    return "give --table or --relation, not both";
  if (!arguments.names.empty() && !arguments.relation.empty())
    return "give a page or --relation, not both";
  if (arguments.names.empty() && !arguments.wants_relation()) return "no page specified";
  if (std::string bad = CheckBaseBackup(arguments.sources.base_backup); !bad.empty()) return bad;
  if (arguments.sources.wal.empty() && arguments.sources.restore_command.empty())
    return "option --wal or --restore-command is required";
  if (arguments.wants_relation() && !arguments.diff) return CheckRelationArguments(arguments);
  if (!arguments.lsn && !arguments.diff) return "option --lsn or --diff is required";
  if (!arguments.diff) return "";
  if (arguments.wants_relation()) return "option --diff is of one page: give one";
  if (arguments.lsn) return "option --diff has both LSNs: leave --lsn out";
  if (!arguments.output.empty() || arguments.style.hex || arguments.style.tuples)
    return "options --output, --tuples and --hex are of one page: leave --diff out";
  return "";
}

// The page that the command line names.
Result<PageKey> NamedPage(const PageArguments& arguments) {
  const std::string& name = arguments.names[0];
  if (!arguments.table.given()) return ParsePageName(name);
  uint32_t block = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), block);
  if (error != std::errc() || end != name.data() + name.size() || block == PageKey::kSizeBlock)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is not a block number, as --table needs one", name));
  ASSIGN_OR_RETURN(const RelFileNode file,
                   FindTable(arguments.sources, arguments.table, arguments.moment()));
  return PageKey::OfBlock({file, kMainFork, block});
}

// The main fork of --table, or the fork that --relation names by the path of its first file.
Result<BlockTag> NamedRelation(const PageArguments& arguments) {
  if (arguments.table.given()) {
    ASSIGN_OR_RETURN(const RelFileNode file,
                     FindTable(arguments.sources, arguments.table, arguments.moment()));
    return BlockTag{file, kMainFork, 0};
  }
  const auto key = ParsePageName(arguments.relation + "/0");
  auto tag = key ? key->ToBlock() : tl::unexpected(key.error());
  if (!tag)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is not the path of a relation's file, such as "
                                 "base/5/16384 or base/5/16384_vm",
                                 arguments.relation));
  if (tag->fork == kFreeSpaceMapFork)
    return MakeError(ErrorCode::kUnsupported,
                     "WAL does not contain the free space map: leave its file away, and the server "
                     "makes a new one");
  return tag;
}

Outcome ShowDiff(const PageArguments& arguments, const PageKey& key) {
  const auto& [before, after] = *arguments.diff;
  ASSIGN_OR_RETURN(const auto states, ReadStates(arguments.sources, key, {before, after}));
  const bool was_there = states.of[0].page || states.of[1].page;
  if (!was_there) return Fail(states.of[1].absence);
  PrintPageDiff(key, states.of[0], states.of[1], *states.version, arguments.style.json);
  return kExitFine;
}

Outcome ShowPage(const PageArguments& arguments, const PageKey& key) {
  ASSIGN_OR_RETURN(const auto states, ReadStates(arguments.sources, key, {*arguments.lsn}));
  const PageState& state = states.of[0];
  if (!state.page) return Fail(state.absence);
  if (!arguments.output.empty())
    RETURN_IF_ERROR(WritePrivateFile(arguments.output, state.page->page));
  PrintPage(key, state.lsn, *state.page, *states.version, arguments.style);
  return kExitFine;
}

Outcome Run(const PageArguments& arguments, const Options& options) {
  if (std::string bad = CheckArguments(arguments); !bad.empty())
    return tl::unexpected(options.Misuse(bad));
  if (arguments.wants_relation()) {
    ASSIGN_OR_RETURN(const BlockTag tag, NamedRelation(arguments));
    return WriteRelation(arguments.sources, {tag.rel, tag.fork, *arguments.lsn, arguments.output,
                                             arguments.style.json});
  }
  ASSIGN_OR_RETURN(const PageKey key, NamedPage(arguments));
  return arguments.diff ? ShowDiff(arguments, key) : ShowPage(arguments, key);
}

// An LSN, or "end".
Result<Lsn> ParseMoment(const std::string& text) {
  if (text == "end") return kEndOfWal;
  if (const auto parsed = Lsn::Parse(text)) return *parsed;
  return MakeError(ErrorCode::kInvalidArgument,
                   "it must be an LSN, such as 16/B374D848, or \"end\"");
}

Status ReadDiff(const std::string& text, std::optional<std::pair<Lsn, Lsn>>* diff) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos)
    return MakeError(
        ErrorCode::kInvalidArgument,
        "it must be two LSNs with a comma between them, such as 0/15000028,0/16000028");
  ASSIGN_OR_RETURN(const Lsn before, ParseMoment(text.substr(0, comma)));
  ASSIGN_OR_RETURN(const Lsn after, ParseMoment(text.substr(comma + 1)));
  diff->emplace(before, after);
  return {};
}

void AddShown(Options* options, PageArguments* arguments) {
  options->Value(
      "--lsn=LSN",
      [arguments](const std::string& text) -> Status {
        ASSIGN_OR_RETURN(arguments->lsn, ParseMoment(text));
        return {};
      },
      "show the page as it was after the last record that ends at or before this LSN; \"end\" "
      "means the end of WAL");
  options->Value(
      "--diff=LSN1,LSN2",
      [arguments](const std::string& text) { return ReadDiff(text, &arguments->diff); },
      "show what is different at the second LSN");
  options
      ->Path("--relation=PATH", &arguments->relation,
             "instead of a page, all pages of the relation whose first file this is, such as "
             "base/5/16384; they go to --output")
      .Needs("--output");
  AddTable(options, &arguments->table);
  options->Flag("--tuples", &arguments->style.tuples,
                "show line pointers, tuples and the special area, too");
  options->Flag("--hex", &arguments->style.hex, "show all bytes, with the fields that begin there");
}

}  // namespace

CommandFunction DeclarePage(Options* options) {
  auto arguments = std::make_shared<PageArguments>();
  PageSources* const sources = &arguments->sources;
  options->Usage(
      "[OPTION]... --wal=DIR... --lsn=LSN PAGE\n"
      "  neon-redo page [OPTION]... --wal=DIR... --diff=LSN1,LSN2 PAGE\n"
      "  neon-redo page [OPTION]... --wal=DIR... --lsn=LSN --relation=PATH\n"
      "    --output=FILE\n"
      "  neon-redo page [OPTION]... --wal=DIR... --lsn=LSN --database=NAME --table=NAME\n"
      "    BLOCK\n"
      "  neon-redo page [OPTION]... --restore-command=COMMAND --base-backup=PATH\n"
      "    --lsn=LSN PAGE");
  options->Introduction(
      "PAGE is the path of a file and a block number, such as base/5/16384/7,\n"
      "base/5/16384_vm/0, 1663/5/16384/7 or pg_xact/0000/3, or a page server's key.\n"
      "With --table it is a block number, or is left out for all pages of the table. The\n"
      "name is the one at that LSN.\n");
  options->Arguments(&arguments->names, 1);
  AddWalDirectories(options, &sources->wal);
  AddRestoreCommand(options, &sources->restore_command);
  AddUntestedVersion(options);
  AddShown(options, arguments.get());
  AddBaseBackup(
      options, &sources->base_backup,
      "base backup that supplies the page where WAL alone cannot, in any layout that verify "
      "reads");
  AddTimeline(options, &sources->timeline);
  AddIndex(options, &sources->index);
  AddIndexJobs(options, &sources->jobs);
  options->Path(
      "--output=FILE", &arguments->output,
      "write the page's 8192 bytes to this file, or a relation's to it and, beyond 1 GB, to "
      "FILE.1 and so on");
  AddFormat(options, &arguments->style.json, "text (default) or json");
  AddWorkerOptions(options, &sources->worker);
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
      "  neon-redo page 7 --database=app --table=accounts --wal=archive \\\n"
      "    --base-backup=backup --lsn=0/15000028\n"
      "  neon-redo page pg_xact/0000/0 --wal=archive --base-backup=backup --lsn=end \\\n"
      "    --output=page\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

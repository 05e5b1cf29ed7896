// neon-redo history: the records of a page or a relation.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cli/index_options.h"
#include "cpp_core/base/try.h"
#include "cpp_core/describe/operation.h"
#include "cpp_core/index/history.h"
#include "cpp_core/pg/page_name.h"
#include "neon_redo/describe.h"

namespace neon_redo::cli {

namespace {

struct HistoryArguments {
  std::vector<std::string> names;  // one: of the page or relation
  std::vector<std::string> wal;
  std::string stanza, cipher_pass_file;
  LsnRange range;
  std::optional<uint32_t> timeline;
  std::optional<uint32_t> xid;
  std::optional<uint64_t> limit;
  std::string index;
  int jobs = 1;
  bool json = false;
};

// The name of a page, or of a relation's file.
Status ReadName(const std::string& name, HistoryOptions* options) {
  const auto page = ParsePageName(name);
  if (page) {
    options->key = *page;
    return {};
  }
  const auto relation = ParsePageName(name + "/0");
  if (!relation || relation->field1 != PageKey::kRelation) return tl::unexpected(page.error());
  options->key = *relation;
  options->is_relation = true;
  return {};
}

void PrintJson(const HistoryRecord& history) {
  auto line = nlohmann::ordered_json::parse(
      DescribeRecordAsJson(history.view, history.record.start, history.record.end), nullptr, false);
  line["committed"] =
      history.committed ? nlohmann::ordered_json(TimestampText(*history.committed)) : nullptr;
  fmt::print("{}\n", JsonText(line));
}

void PrintText(const HistoryRecord& history) {
  fmt::print("{:<30} {}\n", history.committed ? TimestampText(*history.committed) : "-",
             DescribeRecord(history.view, history.record.start));
}

Outcome Run(const HistoryArguments& arguments, const Options& options) {
  if (arguments.names.empty())
    return tl::unexpected(options.Misuse("no page or relation specified"));
  if (arguments.wal.empty()) return tl::unexpected(options.Misuse("option --wal is required"));
  HistoryOptions history;
  RETURN_IF_ERROR(ReadName(arguments.names[0], &history));
  ASSIGN_OR_RETURN(const auto wal,
                   WalSet::Open(WalSources{.directories = arguments.wal,
                                           .stanza = arguments.stanza,
                                           .cipher_pass_file = arguments.cipher_pass_file}));
  // Transactions may end after the range.
  ASSIGN_OR_RETURN(const auto index,
                   OpenIndex(wal, {arguments.range.from, std::nullopt, arguments.timeline},
                             arguments.index, arguments.jobs));
  if (arguments.range.from) history.from = *arguments.range.from;
  if (arguments.range.to) history.to = *arguments.range.to;
  history.xid = arguments.xid;
  history.limit = arguments.limit;
  ASSIGN_OR_RETURN(const uint64_t count,
                   ReadHistory(index.get(), history, [&](const HistoryRecord& record) -> Status {
                     arguments.json ? PrintJson(record) : PrintText(record);
                     return {};
                   }));
  RETURN_IF_ERROR(FlushOutput());
  if (index->damage() && index->end() < history.to) return tl::unexpected(*index->damage());
  if (count == 0) SayNotes({"no record of the WAL concerns it"});
  return kExitFine;
}

}  // namespace

CommandFunction DeclareHistory(Options* options) {
  auto arguments = std::make_shared<HistoryArguments>();
  options->Usage("[OPTION]... --wal=DIR... PAGE|RELATION");
  options->Introduction(
      "PAGE is the path of a file and a block number, such as base/5/16384/7, or\n"
      "another name that \"neon-redo page\" takes; RELATION is a path without a block.\n");
  options->Arguments(&arguments->names, 1);
  AddWalDirectories(options, &arguments->wal);
  AddRepository(options, &arguments->stanza, &arguments->cipher_pass_file);
  AddUntestedVersion(options);
  AddLsnRange(options, &arguments->range);
  AddTimeline(options, &arguments->timeline);
  options->Integer("--xid=XID", &arguments->xid, {0, UINT32_MAX},
                   "only show records of this transaction");
  options->Integer("--limit=N", &arguments->limit, {1, UINT32_MAX}, "only show the last N records");
  AddIndex(options, &arguments->index);
  AddIndexJobs(options, &arguments->jobs);
  AddFormat(options, &arguments->json, "text (default) or json, one object a line");
  options->Notes(
      "Each line has the time at which the record's transaction committed, and the record\n"
      "as pg_waldump prints it. \"-\" stands for a transaction that did not commit, and for\n"
      "a subtransaction, whose transaction is known with wal_level = logical only.\n\n"
      "Examples:\n"
      "  psql -Atc \"select pg_relation_filepath('accounts')\"\n"
      "  neon-redo history base/5/16384/7 --wal=archive\n"
      "  neon-redo history base/5/16384 --wal=archive --xid=741 --format=json\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

// neon-redo history: the records of a page or a relation.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/foreign_text.h"
#include "cli/index_question.h"
#include "cpp_core/base/try.h"
#include "cpp_core/describe/operation.h"
#include "cpp_core/index/history.h"
#include "neon_redo/describe.h"

namespace neon_redo::cli {

namespace {

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

Outcome Run(const QuestionArguments& arguments, const Options& options) {
  if (!arguments.names_something())
    return tl::unexpected(options.Misuse("no page or relation specified"));
  if (std::string bad = CheckQuestion(arguments); !bad.empty())
    return tl::unexpected(options.Misuse(bad));
  ASSIGN_OR_RETURN(const auto question, Question::Open(arguments, false));
  ASSIGN_OR_RETURN(HistoryOptions history, question->Subject());
  history.xid = arguments.xid;
  history.limit = arguments.limit;
  history.after = arguments.times.after;
  history.before = arguments.times.before;
  ASSIGN_OR_RETURN(
      const uint64_t count,
      ReadHistory(question->index(), history, [&](const HistoryRecord& record) -> Status {
        arguments.json ? PrintJson(record) : PrintText(record);
        return {};
      }));
  SayNotes(question->index()->TakeNotes());
  RETURN_IF_ERROR(FlushOutput());
  if (auto missing = question->Missing()) return tl::unexpected(*missing);
  if (count == 0) SayNotes({"no record of the WAL concerns it"});
  return kExitFine;
}

}  // namespace

CommandFunction DeclareHistory(Options* options) {
  auto arguments = std::make_shared<QuestionArguments>();
  options->Usage(
      "[OPTION]... --wal=DIR... PAGE|RELATION\n"
      "  neon-redo history [OPTION]... --wal=DIR... --base-backup=PATH --database=NAME\n"
      "    --table=NAME");
  options->Introduction(
      "PAGE is the path of a file and a block number, such as base/5/16384/7, or\n"
      "another name that \"neon-redo page\" takes; RELATION is a path without a block.\n");
  AddQuestion(options, arguments.get(), "only show records of this transaction");
  options->Notes(
      "Each line has the time at which the record's transaction committed, and the record\n"
      "as pg_waldump prints it. \"-\" stands for a transaction whose commit the WAL does not\n"
      "have.\n\n"
      "Examples:\n"
      "  psql -Atc \"select pg_relation_filepath('accounts')\"\n"
      "  neon-redo history base/5/16384/7 --wal=archive\n"
      "  neon-redo history base/5/16384 --wal=archive --xid=741 --format=json\n"
      "  neon-redo history --wal=archive --base-backup=backup --database=bank \\\n"
      "    --table=public.accounts --between='2024-05-31 12:00,2024-05-31 13:00'\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

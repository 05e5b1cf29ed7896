// neon-redo find: places in WAL that recovery may stop at.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/foreign_text.h"
#include "cli/index_question.h"
#include "cpp_core/base/number.h"
#include "cpp_core/base/try.h"
#include "cpp_core/describe/operation.h"
#include "cpp_core/index/find.h"
#include "cpp_core/index/heap_lines.h"
#include "cpp_core/index/table_files.h"
#include "cpp_core/pg/setting.h"
#include "cpp_core/store/keys.h"
#include "neon_redo/ingest.h"

namespace neon_redo::cli {

namespace {

struct FindArguments {
  QuestionArguments question;
  bool commits = false, aborts = false, checkpoints = false, timelines = false;
  bool restore_points = false;
  std::string restore_point;  // empty: all
  bool before_drop = false;
  std::optional<std::pair<uint32_t, uint16_t>> tid;
  bool settings = false;

  bool names_kind() const {
    return commits || aborts || checkpoints || timelines || restore_points;
  }
};

const char* KindText(EventKind kind) {
  switch (kind) {
    case EventKind::kCommit:
      return "commit";
    case EventKind::kAbort:
      return "abort";
    case EventKind::kRestorePoint:
      return "restore_point";
    case EventKind::kCheckpoint:
      return "checkpoint";
    case EventKind::kTimeline:
      return "timeline";
    case EventKind::kBeforeDrop:
      return "before_drop";
    case EventKind::kLinePointer:
      return "line_pointer";
  }
  return "";
}

using Setting = std::pair<std::string, std::string>;  // name and value

// In UTC: abbreviations of time zones mean different things to servers. Nothing: no server takes such a time.
std::optional<std::string> TimeSetting(int64_t time) {
  constexpr int64_t kMicroseconds = 1'000'000;
  constexpr int kFirstYear = 1, kLastYear = 9999;
  const int64_t fraction = (time % kMicroseconds + kMicroseconds) % kMicroseconds;
  const int64_t floor = time / kMicroseconds - (time % kMicroseconds < 0);
  const time_t seconds = floor - FromUnixTime(0) / kMicroseconds;
  std::tm fields{};
  if (gmtime_r(&seconds, &fields) == nullptr) return std::nullopt;
  if (fields.tm_year + 1900 < kFirstYear || fields.tm_year + 1900 > kLastYear) return std::nullopt;
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00", fields.tm_year + 1900,
                     fields.tm_mon + 1, fields.tm_mday, fields.tm_hour, fields.tm_min,
                     fields.tm_sec, fraction);
}

// Sets of settings that each make recovery stop there; the first is by LSN. timeline: of the WAL.
std::vector<std::vector<Setting>> SettingsOf(const Event& event, uint32_t timeline) {
  const Setting line = {"recovery_target_timeline", std::to_string(timeline)};
  const auto with = [&](const char* name, std::string value, bool inclusive) {
    return std::vector<Setting>{{name, std::move(value)},
                                {"recovery_target_inclusive", inclusive ? "true" : "false"},
                                line};
  };
  const StopSettings& stop = event.stop;
  std::vector<std::vector<Setting>> out = {
      with("recovery_target_lsn", stop.lsn.ToString(), stop.inclusive)};
  const auto time = stop.time ? TimeSetting(*stop.time) : std::nullopt;
  if (time) out.push_back(with("recovery_target_time", *time, true));
  if (stop.xid) out.push_back(with("recovery_target_xid", std::to_string(*stop.xid), true));
  if (stop.name) out.push_back({{"recovery_target_name", *stop.name}, line});
  return out;
}

class Printer {
 public:
  Printer(const FindArguments& arguments, uint32_t timeline)
      : arguments_(arguments), timeline_(timeline) {}

  Status Take(const Event& event) {
    if (arguments_.question.json) return PrintJson(event);
    if (count_++ == 0)
      fmt::print("{:<14} {:<14} {:<31} {:>3} {:>10} {}\n", "LSN", "END", "TIME", "TLI", "XID",
                 "WHAT");
    fmt::print("{:<14} {:<14} {:<31} {:>3} {:>10} {}\n", event.start.ToString(),
               event.end.ToString(), event.time ? TimestampText(*event.time) : "-", event.timeline,
               event.xid != 0 ? std::to_string(event.xid) : "-", event.what);
    if (arguments_.settings) PrintSettings(event);
    last_ = event;
    return {};
  }

  // After the last one.
  void Finish() const {
    if (last_ && count_ == 1 && !arguments_.settings) PrintSettings(*last_);
  }

 private:
  void PrintSettings(const Event& event) const {
    bool is_first = true;
    for (const auto& set : SettingsOf(event, timeline_)) {
      if (is_first) {
        for (const auto& [name, value] : set)
          fmt::print("  {} = {}\n", name, pg::QuotedSetting(PrintableLines(value)));
      } else {
        fmt::print("  # or: {} = {}\n", set[0].first,
                   pg::QuotedSetting(PrintableLines(set[0].second)));
      }
      is_first = false;
    }
  }

  Status PrintJson(const Event& event) const {
    nlohmann::ordered_json out = {{"kind", KindText(event.kind)},
                                  {"lsn", event.start.ToString()},
                                  {"end_lsn", event.end.ToString()},
                                  {"time", nullptr},
                                  {"timeline", event.timeline},
                                  {"xid", nullptr},
                                  {"what", event.what}};
    if (event.time) out["time"] = TimestampText(*event.time);
    if (event.xid != 0) out["xid"] = event.xid;
    if (event.cause)
      out[event.kind == EventKind::kBeforeDrop ? "drop_lsn" : "commit_lsn"] =
          event.cause->ToString();
    auto sets = nlohmann::ordered_json::array();
    for (const auto& set : SettingsOf(event, timeline_)) {
      nlohmann::ordered_json settings;
      for (const auto& [name, value] : set) settings[name] = value;
      sets.push_back(std::move(settings));
    }
    out["settings"] = std::move(sets);
    fmt::print("{}\n", JsonText(out));
    return {};
  }

  const FindArguments& arguments_;
  const uint32_t timeline_;
  uint64_t count_ = 0;
  std::optional<Event> last_;
};

// What is common to all ways of asking.
FindOptions OptionsOf(const FindArguments& arguments, const Question& question) {
  FindOptions out;
  out.from = question.from();
  out.to = question.to();
  out.after = arguments.question.times.after;
  out.before = arguments.question.times.before;
  out.xid = arguments.question.xid;
  out.limit = arguments.question.limit;
  return out;
}

// The databases that have the name where the range begins and where it ends: one may have been dropped, and made
// anew or moved to another tablespace.
Result<std::vector<DatabaseName>> DatabasesOf(const std::string& name, CatalogsOfWal* catalogs,
                                              Lsn from, Lsn to) {
  std::vector<DatabaseName> out;
  for (const Lsn lsn : {from, to}) {
    ASSIGN_OR_RETURN(const auto names, catalogs->At(lsn));
    ASSIGN_OR_RETURN(const auto all, names->Databases());
    for (const DatabaseName& database : all) {
      const auto is_same = [&](const DatabaseName& d) {
        return d.oid == database.oid && d.tablespace == database.tablespace;
      };
      if (database.name == name && std::none_of(out.begin(), out.end(), is_same))
        out.push_back(database);
    }
  }
  if (out.empty())
    return MakeError(ErrorCode::kNotFound, fmt::format("there is no database \"{}\" at {} or {}",
                                                       name, from.ToString(), to.ToString()));
  return out;
}

// The file that the name has when its database is dropped. from: where there are names.
Status AddLastFile(const FindArguments& arguments, Question* question, const DatabaseName& database,
                   Lsn from, std::vector<RelFileNode>* out) {
  const PageKey key = DatabaseKey(database.tablespace, database.oid);
  ASSIGN_OR_RETURN(const auto drops, question->index()->GetAll(key, from, question->to()));
  if (drops.empty()) return {};
  ASSIGN_OR_RETURN(const auto names, question->catalogs().At(drops.back().start));
  const auto table = names->FindRelation(database, arguments.question.table.table);
  if (table) out->push_back(table->file);
  if (!table && table.error().code != ErrorCode::kNotFound) return tl::unexpected(table.error());
  return {};
}

// The files whose drop is wanted: of a table all that it had.
Result<std::vector<RelFileNode>> FilesOf(const FindArguments& arguments, Question* question) {
  if (!arguments.question.table.given()) {
    ASSIGN_OR_RETURN(const HistoryOptions subject, question->Subject());
    ASSIGN_OR_RETURN(const BlockTag tag, subject.key.ToBlock());
    return std::vector<RelFileNode>{tag.rel};
  }
  CatalogsOfWal& catalogs = question->catalogs();
  const auto find = [&]() -> Result<std::vector<RelFileNode>> {
    const std::string& name = arguments.question.table.database;
    ASSIGN_OR_RETURN(const Lsn first, catalogs.First());
    const Lsn from = std::max(first, question->from());
    ASSIGN_OR_RETURN(const auto databases, DatabasesOf(name, &catalogs, from, question->end()));
    std::vector<RelFileNode> out;
    for (const DatabaseName& database : databases) {
      ASSIGN_OR_RETURN(const auto files,
                       FindFormerFiles(question->index(), &catalogs.pages(), database,
                                       arguments.question.table.table, from, question->to()));
      out.insert(out.end(), files.begin(), files.end());
      RETURN_IF_ERROR(AddLastFile(arguments, question, database, from, &out));
    }
    return out;
  };
  auto files = find();
  if (!files) return tl::unexpected(catalogs.Explain(files.error()));
  return files;
}

Result<uint64_t> FindRemovalsOf(const FindArguments& arguments, Question* question,
                                const EventSink& sink) {
  ASSIGN_OR_RETURN(const HistoryOptions subject, question->Subject());
  ASSIGN_OR_RETURN(BlockTag tag, subject.key.ToBlock());
  if (!subject.is_relation)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is a page: give the relation, since option --tid has the "
                                 "block",
                                 arguments.question.names.front()));
  tag.block = arguments.tid->first;
  ASSIGN_OR_RETURN(
      const Removals removals,
      FindRemovals(question->index(), &question->catalogs().pages().reader(),
                   {tag, arguments.tid->second}, OptionsOf(arguments, *question), sink));
  if (removals.unknown > 0)
    SayNotes({fmt::format(
        "{} records may have pruned it: the page before them cannot be had{}", removals.unknown,
        question->inputs().backup ? "" : "; give a base backup with --base-backup")});
  return removals.found;
}

Result<uint64_t> Find(const FindArguments& arguments, Question* question, const EventSink& sink) {
  FindOptions options = OptionsOf(arguments, *question);
  if (arguments.before_drop) {
    ASSIGN_OR_RETURN(const auto files, FilesOf(arguments, question));
    return FindDrops(question->index(), files, options, sink);
  }
  if (arguments.tid) return FindRemovalsOf(arguments, question, sink);
  const bool of_transactions = arguments.question.names_something() || options.xid;
  const bool all = !arguments.names_kind() && !of_transactions;
  options.commits = arguments.commits || !arguments.names_kind();
  options.aborts = arguments.aborts || (!arguments.names_kind() && options.xid);
  options.restore_points = arguments.restore_points || all;
  options.checkpoints = arguments.checkpoints || all;
  options.timelines = arguments.timelines || all;
  if (!arguments.restore_point.empty()) options.restore_point = arguments.restore_point;
  if (arguments.question.names_something()) {
    ASSIGN_OR_RETURN(options.changes, question->Subject());
  }
  return FindEvents(question->index(), options, sink);
}

std::string CheckFind(const FindArguments& arguments) {
  const bool needs_relation = arguments.before_drop || arguments.tid;
  if (needs_relation && !arguments.question.names_something())
    return "no relation specified: --before-drop and --tid need one";
  if (needs_relation && (arguments.names_kind() || (arguments.before_drop && arguments.tid)))
    return "--before-drop, --tid and kinds of places exclude each other";
  const bool of_transactions = arguments.question.names_something() || arguments.question.xid;
  if (of_transactions && (arguments.checkpoints || arguments.restore_points || arguments.timelines))
    return "options --checkpoints, --restore-points and --timelines go without a relation and --xid";
  if (arguments.before_drop && arguments.question.xid)
    return "options --before-drop and --xid exclude each other";
  return CheckQuestion(arguments.question);
}

// Earlier WAL has what transactions changed before they committed, commits of later times, and restore points of
// the same name.
bool NeedsWholeWal(const FindArguments& arguments) {
  const bool is_without = arguments.checkpoints || arguments.timelines || arguments.tid.has_value();
  return !is_without || arguments.commits || arguments.aborts || arguments.restore_points;
}

Outcome Run(const FindArguments& arguments, const Options& options) {
  if (std::string bad = CheckFind(arguments); !bad.empty())
    return tl::unexpected(options.Misuse(bad));
  ASSIGN_OR_RETURN(const auto question,
                   Question::Open(arguments.question, NeedsWholeWal(arguments)));
  Printer printer(arguments, question->index()->timeline());
  ASSIGN_OR_RETURN(const uint64_t count, Find(arguments, question.get(), [&](const Event& event) {
                     return printer.Take(event);
                   }));
  printer.Finish();
  SayNotes(question->index()->TakeNotes());
  RETURN_IF_ERROR(FlushOutput());
  if (auto missing = question->Missing()) return tl::unexpected(*missing);
  if (count > 0) return kExitFine;
  SayNotes({"the WAL has nothing of that kind"});
  return kExitDifference;
}

// "(7,3)": block and line pointer, as ctid is printed.
Status ReadTid(const std::string& text, FindArguments* arguments) {
  const size_t comma = text.find(',');
  const bool has_form =
      text.size() > 4 && text.front() == '(' && text.back() == ')' && comma != std::string::npos;
  if (has_form) {
    const auto block = ParseInteger(text.substr(1, comma - 1), 0, kNoBlock - 1);
    const auto line = ParseInteger(text.substr(comma + 1, text.size() - comma - 2), 1, UINT16_MAX);
    if (block && line) {
      arguments->tid = {static_cast<uint32_t>(*block), static_cast<uint16_t>(*line)};
      return {};
    }
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   "it must be a block and a line pointer, such as \"(7,3)\"");
}

void AddKinds(Options* options, FindArguments* arguments) {
  options->Heading("Options for what is found");
  options->Flag("--commits", &arguments->commits, "commits");
  options->Flag("--aborts", &arguments->aborts, "aborts");
  options->Value(
      "--restore-points[=NAME]",
      [arguments](const std::string& text) {
        arguments->restore_points = true;
        arguments->restore_point = text;
        return Status();
      },
      "restore points, or those of this name");
  options->Flag("--checkpoints", &arguments->checkpoints, "checkpoints");
  options->Flag("--timelines", &arguments->timelines, "beginnings of timelines");
  options->Flag("--before-drop", &arguments->before_drop,
                "the last commit before the relation's file went by DROP, TRUNCATE, or by what "
                "writes the table anew");
  options->Value(
      "--tid=(BLOCK,LINE)",
      [arguments](const std::string& text) { return ReadTid(text, arguments); },
      "the records that deleted, updated, pruned or vacuumed this line pointer of the relation");
  options->Flag("--settings", &arguments->settings,
                "print recovery settings for each place, not only for one that is alone");
}

}  // namespace

CommandFunction DeclareFind(Options* options) {
  auto arguments = std::make_shared<FindArguments>();
  options->Usage("[OPTION]... --wal=DIR... [PAGE|RELATION]");
  options->Introduction(
      "Finds places in WAL that recovery may stop at, and prints the settings for it. With\n"
      "PAGE, RELATION or --table: commits of transactions that changed it. Without any option\n"
      "that says what: commits, restore points, checkpoints and beginnings of timelines.\n");
  AddQuestion(options, &arguments->question,
              "the end of this transaction, or of the one that this subtransaction is of");
  AddKinds(options, arguments.get());
  options->Notes(
      "Recovery that stops there has all that was committed up to it. The exit status is 0\n"
      "when something was found, and 1 when nothing was.\n\n"
      "Examples:\n"
      "  neon-redo find --wal=archive --between='2024-05-31 12:00,2024-05-31 12:05'\n"
      "  neon-redo find --wal=archive --restore-points=before_upgrade\n"
      "  neon-redo find --wal=archive --before-drop base/5/16384\n"
      "  neon-redo find --wal=archive --base-backup=backup --database=bank \\\n"
      "    --table=public.accounts --before-drop\n"
      "  neon-redo find --wal=archive base/5/16384 --tid='(7,3)'\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

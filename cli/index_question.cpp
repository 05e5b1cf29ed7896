#include "cli/index_question.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/index_options.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page_name.h"

namespace neon_redo::cli {

namespace {

// The name of a page, or of a relation's file.
Result<HistoryOptions> ReadName(const std::string& name) {
  HistoryOptions out;
  const auto page = ParsePageName(name);
  if (page) {
    out.key = *page;
    return out;
  }
  const auto relation = ParsePageName(name + "/0");
  if (!relation || relation->field1 != PageKey::kRelation) return tl::unexpected(page.error());
  out.key = *relation;
  out.is_relation = true;
  return out;
}

// --between: two LSNs or two times.
Status ReadBetween(const std::string& text, QuestionArguments* arguments) {
  const auto wrong = [] {
    return MakeError(ErrorCode::kInvalidArgument,
                     "it must be two LSNs or two times with a comma between them");
  };
  const size_t comma = text.find(',');
  if (comma == std::string::npos) return wrong();
  const std::string first = text.substr(0, comma), second = text.substr(comma + 1);
  const auto from = Lsn::Parse(first), to = Lsn::Parse(second);
  if (from && to) {
    arguments->range = {*from, *to};
    return {};
  }
  const auto after = ParseWalTime(first), before = ParseWalTime(second);
  if (!after || !before) return wrong();
  arguments->times = {*after, *before};
  return {};
}

void AddRange(Options* options, QuestionArguments* arguments) {
  const auto time = [](std::optional<WalTime>* out) {
    return [out](const std::string& text) -> Status {
      ASSIGN_OR_RETURN(*out, ParseWalTime(text));
      return {};
    };
  };
  AddLsnRange(options, &arguments->range);
  options->Value("--after=TIME", time(&arguments->times.after),
                 "take only what happened, or was committed, at TIME or later, such as "
                 "\"2024-05-31 12:30:00+02\" (without a zone: local time)");
  options->Value("--before=TIME", time(&arguments->times.before),
                 "take only what happened, or was committed, before TIME");
  options->Value(
      "--between=FIRST,SECOND",
      [arguments](const std::string& text) { return ReadBetween(text, arguments); },
      "the same as --from and --to, or --after and --before");
}

}  // namespace

void AddQuestion(Options* options, QuestionArguments* arguments, const char* xid) {
  options->Arguments(&arguments->names, 1);
  AddWalDirectories(options, &arguments->wal);
  AddRange(options, arguments);
  AddTimeline(options, &arguments->timeline);
  options->Integer("--xid=XID", &arguments->xid, {0, UINT32_MAX}, xid);
  options->Integer("--limit=N", &arguments->limit, {1, UINT32_MAX}, "only show the last N");
  AddIndex(options, &arguments->index);
  AddIndexJobs(options, &arguments->jobs);
  AddFormat(options, &arguments->json, "text (default) or json, one object a line");
  AddUntestedVersion(options);
  options->Heading("Options for names");
  AddTable(options, &arguments->table);
  options->Location("--table-at=LSN", &arguments->table_at,
                    "the LSN at which names are looked up (default: the end of the range)");
  AddBaseBackup(options, &arguments->base_backup,
                "base backup that supplies pages which WAL alone cannot, in any layout that verify "
                "reads");
  AddWorkerOptions(options, &arguments->worker);
}

std::string CheckQuestion(const QuestionArguments& arguments) {
  if (arguments.wal.empty()) return "option --wal is required";
  if (!arguments.names.empty() && arguments.table.given())
    return "a page or relation and option --table exclude each other";
  return CheckBaseBackup(arguments.base_backup);
}

Question::Question(const QuestionArguments& arguments, PageInputs inputs)
    : arguments_(arguments), inputs_(std::move(inputs)) {}

// Transactions may end after the range; pages are rebuilt from the base backup on.
Status Question::OpenWal(bool whole) {
  const std::string& directory = arguments_.index;
  WalRange range{arguments_.range.from, std::nullopt, arguments_.timeline};
  if (inputs_.backup) range.from = std::min(range.from.value_or(inputs_.start), inputs_.start);
  if (whole && range.from) {
    const WalRange all{std::nullopt, std::nullopt, arguments_.timeline};
    auto index = OpenIndex(inputs_.wal, all, directory, arguments_.jobs);
    const bool reaches = index && (!(*index)->damage() || (*index)->end() > *range.from);
    if (reaches) {
      index_ = std::move(*index);
      return {};
    }
    const Error why = index ? *(*index)->damage() : index.error();
    ASSIGN_OR_RETURN(index_, OpenIndex(inputs_.wal, range, directory, arguments_.jobs));
    SayNotes(
        {fmt::format("WAL before {} was not searched: {}", range.from->ToString(), why.message)});
    return {};
  }
  ASSIGN_OR_RETURN(index_, OpenIndex(inputs_.wal, range, directory, arguments_.jobs));
  return {};
}

Result<std::unique_ptr<Question>> Question::Open(const QuestionArguments& arguments, bool whole) {
  ASSIGN_OR_RETURN(auto inputs, OpenPageInputs(arguments.base_backup,
                                               WalSources{.directories = arguments.wal,
                                                          .timeline = arguments.timeline}));
  std::unique_ptr<Question> out(new Question(arguments, std::move(inputs)));
  WorkerOptions worker = arguments.worker;
  worker.version = &out->inputs_.wal.version();
  RETURN_IF_ERROR(out->OpenWal(whole));
  out->catalogs_.emplace(out->inputs_, out->index_.get(), worker);
  return out;
}

Lsn Question::end() const { return std::min(to(), index_->end()); }

// Nothing where the names cannot be read.
void Question::SayName(const PageKey& key) {
  const auto tag = key.ToBlock();
  if (!tag) return;
  const Lsn lsn = arguments_.table_at.value_or(end());
  const auto names = catalogs_->At(lsn);
  if (!names) return;
  if (const auto name = (*names)->NameOf(tag->rel))
    SayNotes({fmt::format("{} is {} at {}", arguments_.names[0], *name, lsn.ToString())});
}

Result<HistoryOptions> Question::Subject() {
  HistoryOptions out;
  if (!arguments_.names.empty()) {
    ASSIGN_OR_RETURN(out, ReadName(arguments_.names[0]));
    if (inputs_.backup) SayName(out.key);
  } else {
    const auto find = [this]() -> Result<RelationName> {
      ASSIGN_OR_RETURN(const auto names, catalogs_->At(arguments_.table_at.value_or(end())));
      return FindTable(arguments_.table, names.get());
    };
    const auto table = find();
    if (!table) return tl::unexpected(catalogs_->Explain(table.error()));
    out.key = PageKey::OfBlock({table->file});
    out.is_relation = true;
  }
  out.from = from();
  out.to = to();
  return out;
}

std::optional<Error> Question::Missing() const {
  if (index_->damage() && index_->end() < to()) return index_->damage();
  return std::nullopt;
}

}  // namespace neon_redo::cli

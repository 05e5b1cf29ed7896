// neon-redo waldump: the records of a WAL directory as text, JSON or statistics. It takes the
// options of pg_waldump.
#include <fmt/format.h>
#include <poll.h>
#include <strings.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/stop_signal.h"
#include "cli/waldump_images.h"
#include "cli/waldump_segments.h"
#include "cli/waldump_stats.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"
#include "cpp_core/describe/lsn_text.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/wal/commit_time.h"
#include "cpp_core/wal/filter.h"
#include "cpp_core/wal/open.h"
#include "cpp_core/wal/stats.h"
#include "cpp_core/wal/watch.h"
#include "neon_redo/describe.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo::cli {

namespace {

struct WaldumpArguments {
  WalSources sources;                 // where WAL is; the rest is below
  std::vector<std::string> segments;  // STARTSEG and ENDSEG
  LsnRange range;
  std::optional<Lsn> start;  // --start: as --from, but says what it skips
  std::optional<uint32_t> timeline;
  TimeRange times;
  WalFilter filter;
  bool list_rmgrs = false;
  uint32_t limit = 0;  // records; 0: no limit
  bool follow = false;
  bool quiet = false;
  bool details = false;
  bool stats = false;
  bool by_operation = false;
  bool json = false;
  std::string save_fullpage;
};

// All of stdout goes through one large buffer; a write that fails (a full disk, a closed pipe)
// shows once.
class RecordOutput {
 public:
  std::string* line() { return &buffer_; }
  // False when writing has failed: then there is no point in reading more.
  bool EndLine() {
    buffer_.push_back('\n');
    return buffer_.size() < kLimit || Flush();
  }
  bool Flush() {
    const size_t n = std::fwrite(buffer_.data(), 1, buffer_.size(), stdout);
    fine_ = fine_ && n == buffer_.size() && std::fflush(stdout) == 0;
    buffer_.clear();
    return fine_;
  }

 private:
  static constexpr size_t kLimit = 256 * 1024;
  std::string buffer_;
  bool fine_ = true;
};

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

// One run of the command, from the first record to the last.
class Dump {
 public:
  Dump(const WaldumpArguments& arguments, WalSet set)
      : arguments_(arguments), set_(std::move(set)) {}

  // Reads until WAL or the range ends; with --follow until a signal.
  Status Run();
  // After Run: prints what is buffered, and statistics. False: standard output takes no more.
  bool Finish(const std::optional<Error>& error);
  // Statistics follow the records; there are none when there was no WAL to read.
  bool prints_stats() const { return arguments_.stats && !arguments_.quiet && reader_ != nullptr; }
  const WalReader& reader() const { return *reader_; }
  // There are as many records as --limit wants.
  bool reached_limit() const { return reached_limit_; }

 private:
  // To the end of WAL. Only errors of records are returned; reader_ has its own.
  Status ReadAll();
  Status Follow();
  Result<bool> Reopen(Lsn at);
  std::optional<Error> ReaderFailure(const Result<bool>& opened) const;
  bool IsStillToCome(Lsn at) const;
  Status Take(const WalRecord& record);
  void Begin(const WalRecord& first);
  Status Open(std::optional<Lsn> from) {
    ASSIGN_OR_RETURN(auto reader, OpenWal(set_, {from, arguments_.range.to, arguments_.timeline}));
    reader_ = std::move(reader);
    view_.emplace(reader_->version());
    return {};
  }

  const WaldumpArguments& arguments_;
  WalSet set_;  // as it was listed last
  std::unique_ptr<WalReader> reader_;
  std::unique_ptr<WalStats> stats_ = std::make_unique<WalStats>();
  std::optional<ImageWriter> images_;
  std::optional<RecordView> view_;  // for the version that reader_ found
  RecordOutput output_;
  bool begun_ = false;
  bool reached_limit_ = false;
  bool output_failed_ = false;
  uint64_t shown_ = 0;
};

// As pg_waldump, which says so unless it starts at a segment. Since 17, this is not among the records.
void Dump::Begin(const WalRecord& first) {
  begun_ = true;
  stats_->set_first_lsn(first.start);
  const std::optional<Lsn> start = arguments_.start;
  if (!start || *start == first.start || start->value % reader_->segment_size() == 0) return;
  if (arguments_.json) return;
  const uint64_t skipped = first.start - *start;
  const pg::Version& version = reader_->version();
  const std::string words = fmt::format("first record is after {}, at {}, skipping over {} byte{}",
                                        LsnText(version, *start), LsnText(version, first.start),
                                        skipped, skipped == 1 ? "" : "s");
  if (version.text >= pg::WaldumpText::k17) return Say(words);
  output_.line()->append(words);
  static_cast<void>(output_.EndLine());
}

Status Dump::Take(const WalRecord& record) {
  if (!arguments_.filter.Matches(LoadNative<RecordHeader>(record.bytes.data()))) return {};
  if (view_->Parse(record.bytes)) [[unlikely]]
    return ParseRecord(record, &*view_);
  if (!arguments_.filter.MatchesBlocks(*view_)) return {};
  if (images_) RETURN_IF_ERROR(images_->Write(*view_, record.start, reader_->timeline()));
  if (arguments_.stats) {
    stats_->Add(*view_, record.end);
  } else if (!arguments_.quiet) {
    if (arguments_.json) {
      output_.line()->append(DescribeRecordAsJson(*view_, record.start, record.end));
    } else if (arguments_.details) {
      DescribeRecordInDetail(*view_, record.start, output_.line());
    } else {
      DescribeRecord(*view_, record.start, output_.line());
    }
    output_failed_ = !output_.EndLine();
  }
  reached_limit_ = ++shown_ == arguments_.limit;
  return {};
}

Status Dump::ReadAll() {
  WalRecord record;
  while (!reached_limit_ && !output_failed_ && reader_->Next(&record)) {
    if (!begun_) Begin(record);
    RETURN_IF_ERROR(Take(record));
  }
  return {};
}

Status Dump::Run() {
  RETURN_IF_ERROR(Open(arguments_.range.from));
  if (!arguments_.save_fullpage.empty()) {
    ASSIGN_OR_RETURN(images_, ImageWriter::Open(arguments_.save_fullpage));
  }
  if (arguments_.follow) return Follow();
  RETURN_IF_ERROR(ReadAll());
  if (reader_->error()) return tl::unexpected(*reader_->error());
  return {};
}

// The segment of this LSN is not there yet: nothing after it is there either.
bool Dump::IsStillToCome(Lsn at) const {
  const auto line = set_.Line(arguments_.timeline, {});
  return line && (line->empty() || line->back().number < at.value / set_.segment_size());
}

// A new listing has the segments that came since. False: the segment of this LSN is still to come.
Result<bool> Dump::Reopen(Lsn at) {
  ASSIGN_OR_RETURN(set_, WalSet::Open(arguments_.sources));
  // The start may be ahead of the end of WAL.
  const Lsn from = std::max(at, arguments_.range.from.value_or(Lsn()));
  const Status opened = Open(from.valid() ? std::optional<Lsn>(from) : std::nullopt);
  if (opened) return true;
  if (opened.error().code == ErrorCode::kNotFound && IsStillToCome(at)) return false;
  return tl::unexpected(opened.error());
}

// What the last attempt to read on failed with. An error of a record itself does not come here: it
// would not pass.
std::optional<Error> Dump::ReaderFailure(const Result<bool>& opened) const {
  if (!opened) return opened.error();
  // kNotFound: the page is there, and has no WAL yet.
  if (!*opened || (reader_->error() && reader_->error()->code == ErrorCode::kNotFound))
    return std::nullopt;
  return reader_->error();
}

Status Dump::Follow() {
  const CancelSignal& stop = StopOnSignals();
  WalWatch watch(set_.directories());
  watch.Begin(WalWatch::Clock::now());
  std::optional<Lsn> failed_at;
  for (Result<bool> opened = true;;) {
    if (opened && *opened) RETURN_IF_ERROR(ReadAll());
    const Lsn at = reader_->end_of_wal();
    const auto failure = ReaderFailure(opened);
    // The server may have been writing there: the second attempt decides.
    if (failure && failed_at == at) return tl::unexpected(*failure);
    failed_at = failure ? std::optional(at) : std::nullopt;
    do {
      if (reached_limit_ || output_failed_ || reader_->reached_to() || !output_.Flush()) return {};
      pollfd fd{stop.fd(), POLLIN, 0};
      if (poll(&fd, 1, 1000) > 0) return {};
    } while (!failure && !watch.MayHaveGrown(reader_->timeline(), at, reader_->segment_size(),
                                             WalWatch::Clock::now()));
    watch.Begin(WalWatch::Clock::now());
    opened = Reopen(at);
  }
}

bool Dump::Finish(const std::optional<Error>& error) {
  if (reader_) SayNotes(reader_->notes());
  if (!output_.Flush() || output_failed_) return false;
  if (!prints_stats()) return true;
  if (arguments_.json) {
    PrintStatsJson(*stats_, arguments_.by_operation, *reader_, error);
  } else {
    PrintStatsTable(*stats_, arguments_.by_operation, reader_->version());
  }
  return true;
}

// Narrows the range to the transactions that ended in the times of --after and --before.
Status ReadTimes(const WalSet& set, WaldumpArguments* arguments) {
  if (!arguments->times.after && !arguments->times.before) return {};
  LsnRange& range = arguments->range;
  ASSIGN_OR_RETURN(const auto reader, OpenWal(set, {range.from, range.to, arguments->timeline}));
  const auto lsns = FindTimeRange(reader.get(), arguments->times);
  // With --follow, the first record may be still to come.
  if (!lsns && arguments->follow && lsns.error().code == ErrorCode::kNotFound) return {};
  if (!lsns) return tl::unexpected(lsns.error());
  if (lsns->from) range.from = lsns->from;
  if (lsns->to) range.to = lsns->to;
  return {};
}

// Lists the WAL that the arguments mean.
Result<WalSet> OpenSet(WaldumpArguments* arguments) {
  if (!arguments->segments.empty())
    return ReadSegmentNames(arguments->segments, &arguments->sources, &arguments->range,
                            &arguments->timeline);
  if (arguments->sources.directories.empty() && arguments->sources.restore_command.empty()) {
    ASSIGN_OR_RETURN(auto found, FindWalDirectory({}, "", ""));
    arguments->sources.directories.push_back(std::move(found));
  }
  arguments->sources.start = arguments->range.from;
  arguments->sources.timeline = arguments->timeline;
  return WalSet::Open(arguments->sources);
}

Outcome Run(WaldumpArguments arguments, const Options& options) {
  if (arguments.list_rmgrs) {
    for (int rmid = 0; rmid <= kMaxBuiltinRmgr; rmid++)
      fmt::print("{}\n", RmgrName(static_cast<uint8_t>(rmid)));
    return kExitFine;
  }
  if (arguments.filter.block && !arguments.filter.relation)
    return tl::unexpected(options.Misuse("option --block requires option --relation"));
  if (!arguments.sources.restore_command.empty() &&
      (arguments.follow || !arguments.segments.empty()))
    return tl::unexpected(options.Misuse(
        arguments.follow ? "options --restore-command and --follow exclude each other"
                         : "with option --restore-command, give --start instead of STARTSEG"));
  // The times are looked for in the WAL that is there at the start.
  if (arguments.follow && arguments.times.before)
    return tl::unexpected(options.Misuse("options --before and --follow exclude each other"));
  if (arguments.start) arguments.range.from = arguments.start;
  const std::optional<Lsn> to = arguments.range.to;
  if (arguments.segments.empty() && arguments.sources.directories.empty() && !arguments.range.from)
    return tl::unexpected(options.Misuse("no WAL directory and no start specified"));
  ASSIGN_OR_RETURN(auto set, OpenSet(&arguments));
  RETURN_IF_ERROR(ReadTimes(set, &arguments));
  Dump dump(arguments, std::move(set));
  const Status status = dump.Run();
  std::optional<Error> error;
  if (!status) error = status.error();
  // The ends that STARTSEG and --before set need not be in the WAL.
  const bool cut_short = arguments.follow || dump.reached_limit() || !to;
  if (!error && !cut_short) error = RangeError({{}, to}, dump.reader(), status);
  if (!dump.Finish(error)) return Fail("could not write to standard output");
  RETURN_IF_ERROR(FlushOutput());
  if (!error) return kExitFine;
  Failure failure(*error);
  failure.in_output = dump.prints_stats();
  return tl::unexpected(std::move(failure));
}

// --stats: nothing, or "record".
Status ReadStats(const std::string& text, WaldumpArguments* arguments) {
  arguments->stats = true;
  arguments->by_operation = text == "record";
  if (text.empty() || text == "record") return {};
  return Invalid("it must be record, or left out");
}

Status ReadRmgr(const std::string& text, WaldumpArguments* arguments) {
  if (text == "list") {
    arguments->list_rmgrs = true;
    return {};
  }
  for (int rmid = 0; rmid < 256; rmid++) {
    const auto id = static_cast<uint8_t>(rmid);
    if (!RmgrIsValid(id) || strcasecmp(RmgrDisplayName(id).c_str(), text.c_str()) != 0) continue;
    arguments->filter.rmgrs.set(id);
    return {};
  }
  return Invalid("this resource manager does not exist; --rmgr=list shows those that do");
}

// "1663/5/16384"
Status ReadRelation(const std::string& text, WalFilter* filter) {
  const size_t first = text.find('/');
  const size_t second = first == std::string::npos ? first : text.find('/', first + 1);
  if (second == std::string::npos)
    return Invalid("it must be tablespace OID/database OID/relation filenode");
  RelFileNode rel;
  const std::pair<std::string, uint32_t*> parts[] = {
      {text.substr(0, first), &rel.spc},
      {text.substr(first + 1, second - first - 1), &rel.db},
      {text.substr(second + 1), &rel.rel}};
  for (const auto& [part, oid] : parts) {
    const auto number = ParseInteger(part, 0, std::numeric_limits<uint32_t>::max());
    // Only shared relations have no database.
    if (!number || (*number == 0 && oid != &rel.db))
      return Invalid("it must be tablespace OID/database OID/relation filenode");
    *oid = static_cast<uint32_t>(*number);
  }
  filter->relation = rel;
  return {};
}

void DeclareFilters(Options* options, const std::shared_ptr<WaldumpArguments>& arguments) {
  constexpr int64_t kMaxUint32 = std::numeric_limits<uint32_t>::max();
  WalFilter* const filter = &arguments->filter;
  options->Heading("Options that select records");
  options->Value(
      "-r, --rmgr=RMGR",
      [arguments](const std::string& text) { return ReadRmgr(text, arguments.get()); },
      "only show records of resource manager RMGR; can be repeated; --rmgr=list lists valid names");
  options->Integer("-x, --xid=XID", &filter->xid, {0, kMaxUint32},
                   "only show records with transaction ID XID");
  options->Value(
      "-R, --relation=T/D/R",
      [arguments](const std::string& text) { return ReadRelation(text, &arguments->filter); },
      "only show records that modify blocks in relation T/D/R");
  options->Integer("-B, --block=N", &filter->block, {0, kMaxUint32 - 1},
                   "with --relation, only show records that modify block N");
  options->Choice<std::optional<uint8_t>>(
      "-F, --fork=FORK", &filter->fork,
      {{"main", kMainFork},
       {"fsm", kFreeSpaceMapFork},
       {"vm", kVisibilityMapFork},
       {"init", kInitFork}},
      "only show records that modify blocks in fork FORK: main, fsm, vm or "
      "init");
  options->Flag("-w, --fullpage", &filter->full_page, "only show records with a full-page image");
  const auto time = [arguments](std::optional<WalTime>* out) {
    return [arguments, out](const std::string& text) -> Status {
      ASSIGN_OR_RETURN(*out, ParseWalTime(text));
      return {};
    };
  };
  options->Value(
      "--after=TIME", time(&arguments->times.after),
      "start before the first transaction that ended at TIME or later, such as \"2024-05-31 "
      "12:30:00+02\" (without a zone: local time)");
  options->Value("--before=TIME", time(&arguments->times.before),
                 "stop before the first transaction that ended at TIME or later");
}

}  // namespace

CommandFunction DeclareWaldump(Options* options) {
  auto arguments = std::make_shared<WaldumpArguments>();
  options->Usage(
      "[OPTION]... [--wal=DIR]... [STARTSEG [ENDSEG]]\n"
      "  neon-redo waldump [OPTION]... --restore-command=COMMAND --start=LSN");
  options->Arguments(&arguments->segments, 2);
  AddWalDirectories(options, &arguments->sources.directories);
  AddRestoreCommand(options, &arguments->sources.restore_command);
  AddRepository(options, &arguments->sources.stanza, &arguments->sources.cipher_pass_file);
  AddUntestedVersion(options);
  options->PathList("-p, --path=PATH", &arguments->sources.directories,
                    "the same as --wal (default: the directory of STARTSEG, the current directory, "
                    "./pg_wal, $PGDATA/pg_wal)");
  AddLsnRange(options, &arguments->range);
  options->Location("-s, --start=LSN", &arguments->start,
                    "the same as --from, but reports the bytes skipped before the first record");
  options->Location("-e, --end=LSN", &arguments->range.to, "the same as --to");
  AddTimeline(options, &arguments->timeline, "-t, --timeline=TLI");
  options->Flag("-f, --follow", &arguments->follow, "wait for more WAL at the end, until SIGINT");
  options->Integer("-n, --limit=N", &arguments->limit, {0, std::numeric_limits<int32_t>::max()},
                   "number of records to show");
  options->Flag("-b, --bkp-details", &arguments->details,
                "show details of blocks on lines of their own");
  options->Flag("-q, --quiet", &arguments->quiet, "print nothing except errors");
  options->Value(
      "-z, --stats[=record]",
      [arguments](const std::string& text) { return ReadStats(text, arguments.get()); },
      "show statistics instead of records: by resource manager, or by type of record");
  options->Path("--save-fullpage=DIR", &arguments->save_fullpage,
                "write the full-page images of the records that are shown to files in DIR");
  AddFormat(options, &arguments->json,
            "text (default): the lines of pg_waldump; json: an object on each line");
  DeclareFilters(options, arguments);
  options->Notes(
      "The command takes the options of pg_waldump. In contrast to pg_waldump, it needs no\n"
      "start, it reads all timelines that the last one descends from, and the end of WAL is\n"
      "not an error. The exit status is 0 when the command reached the end of the range or\n"
      "of WAL. It is 2 when WAL is damaged or missing; the message names the file and the\n"
      "LSN.\n\n"
      "Examples:\n"
      "  neon-redo waldump --wal=/var/lib/postgresql/15/main/pg_wal --from=0/15000028\n"
      "  neon-redo waldump --wal=archive --rmgr=Btree --format=json\n"
      "  neon-redo waldump --wal=archive --after='2024-05-31 12:00' --rmgr=Transaction\n"
      "  neon-redo waldump archive/000000010000000000000015 --stats=record\n"
      "  neon-redo waldump --start=0/15000028 \\\n"
      "    --restore-command='pgbackrest --stanza=main archive-get %f %p'\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

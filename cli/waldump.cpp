// neon-redo waldump: the records of a WAL directory as text, JSON or statistics.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/wal/stats.h"
#include "neon_redo/describe.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo::cli {

namespace {

struct Arguments {
  std::string directory;
  LsnRange range;
  std::string rmgr;
  std::optional<uint32_t> timeline;
  bool stats = false;
  bool by_operation = false;
  bool json = false;
};

// All of stdout goes through one large buffer; a write that fails (a full disk, a closed pipe)
// shows once.
class Output {
 public:
  std::string* line() { return &buffer_; }
  // False when writing has failed; it is no use to go on then.
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

std::optional<uint8_t> FindRmgr(const std::string& name) {
  for (int rmid = 0; rmid < 256; rmid++) {
    const auto id = static_cast<uint8_t>(rmid);
    if (RmgrIsValid(id) && strcasecmp(RmgrDisplayName(id).c_str(), name.c_str()) == 0) return id;
  }
  return std::nullopt;
}

std::string OperationText(uint8_t rmid, uint8_t info) {
  const char* name = OperationName(rmid, info);
  return name ? name : fmt::format("UNKNOWN ({:x})", info & kInfoRmgrMask);
}

double Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

// Calls row(name, counts) for each resource manager, or each operation that occurs.
template <typename Row>
void ForEachRow(const WalStats& stats, bool by_operation, Row row) {
  for (int id = 0; id < 256; id++) {
    const auto rmid = static_cast<uint8_t>(id);
    if (!RmgrIsValid(rmid)) continue;
    const std::string name = RmgrDisplayName(rmid);
    if (!by_operation) {
      const WalCounts counts = stats.OfRmgr(rmid);
      if (rmid <= kMaxBuiltinRmgr || counts.records > 0) row(name, counts);
      continue;
    }
    for (int operation = 0; operation < 16; operation++) {
      const WalCounts& counts = stats.Of(rmid, operation);
      if (counts.records == 0) continue;
      row(name + "/" + OperationText(rmid, static_cast<uint8_t>(operation << 4)), counts);
    }
  }
}

// The table of pg_waldump --stats, to the letter.
void PrintStatsTable(const WalStats& stats, bool by_operation) {
  const WalCounts total = stats.Total();
  if (total.records == 0) return;
  const uint64_t total_bytes = total.record_bytes + total.image_bytes;
  fmt::print("WAL statistics between {} and {}:\n", stats.first_lsn().ToString(),
             stats.end_lsn().ToString());
  fmt::print("{:<27} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8}\n", "Type", "N", "(%)",
             "Record size", "(%)", "FPI size", "(%)", "Combined size", "(%)");
  fmt::print("{:<27} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8}\n", "----", "-", "---",
             "-----------", "---", "--------", "---", "-------------", "---");
  ForEachRow(stats, by_operation, [&](const std::string& name, const WalCounts& c) {
    const uint64_t bytes = c.record_bytes + c.image_bytes;
    fmt::print("{:<27} {:>20} ({:6.2f}) {:>20} ({:6.2f}) {:>20} ({:6.2f}) {:>20} ({:6.2f})\n", name,
               c.records, Percent(c.records, total.records), c.record_bytes,
               Percent(c.record_bytes, total.record_bytes), c.image_bytes,
               Percent(c.image_bytes, total.image_bytes), bytes, Percent(bytes, total_bytes));
  });
  fmt::print("{:<27} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8} {:>20}\n", "", "--------", "",
             "--------", "", "--------", "", "--------");
  fmt::print("{:<27} {:>20} {:<9}{:>20} {:<9}{:>20} {:<9}{:>20} {:<6}\n", "Total", total.records,
             "", total.record_bytes,
             fmt::format("[{:.2f}%]", Percent(total.record_bytes, total_bytes)), total.image_bytes,
             fmt::format("[{:.2f}%]", Percent(total.image_bytes, total_bytes)), total_bytes,
             "[100%]");
}

void PrintStatsJson(const WalStats& stats, bool by_operation, const WalReader& reader,
                    const std::optional<Error>& error) {
  auto counts_json = [](const WalCounts& c) {
    return nlohmann::ordered_json{
        {"records", c.records}, {"record_bytes", c.record_bytes}, {"image_bytes", c.image_bytes}};
  };
  const WalCounts total = stats.Total();
  nlohmann::ordered_json out = {
      {"system_identifier", reader.system_identifier()},
      {"segment_size", reader.segment_size()},
      {"first_lsn", total.records ? nlohmann::ordered_json(stats.first_lsn().ToString()) : nullptr},
      {"end_lsn", reader.end_of_wal().ToString()},
      {"end_reason", reader.end_reason()},
      {"total", counts_json(total)},
      {"types", nlohmann::ordered_json::object()},
  };
  ForEachRow(stats, by_operation, [&](const std::string& name, const WalCounts& c) {
    if (c.records > 0) out["types"][name] = counts_json(c);
  });
  if (error) out["error"] = error->message;
  fmt::print("{}\n", out.dump());
}

// Reads and prints records until the WAL ends.
Status PrintRecords(WalReader* reader, std::optional<uint8_t> rmgr, bool json, Output* output) {
  RecordView view(reader->version());
  for (;;) {
    ASSIGN_OR_RETURN(auto next, reader->Next());
    if (!next) return {};
    const WalRecord& record = *next;
    if (rmgr && LoadNative<RecordHeader>(record.bytes.data()).rmid != *rmgr) continue;
    RETURN_IF_ERROR(ParseRecord(record, &view));
    if (json) {
      output->line()->append(DescribeRecordAsJson(view, record.start, record.end));
    } else {
      DescribeRecord(view, record.start, output->line());
    }
    if (!output->EndLine()) return {};
  }
}

Outcome DumpWal(const Arguments& arguments, std::optional<uint8_t> rmgr) {
  ASSIGN_OR_RETURN(const auto reader, WalReader::Open({arguments.directory, arguments.range.from,
                                                       arguments.range.to, arguments.timeline}));
  std::optional<Error> error;
  if (arguments.stats) {
    auto stats = std::make_unique<WalStats>();
    error = RangeError(arguments.range, *reader, stats->AddAll(reader.get(), rmgr));
    if (arguments.json) {
      PrintStatsJson(*stats, arguments.by_operation, *reader, error);
    } else {
      PrintStatsTable(*stats, arguments.by_operation);
    }
    RETURN_IF_ERROR(FlushOutput());
  } else {
    Output output;
    error = RangeError(arguments.range, *reader,
                       PrintRecords(reader.get(), rmgr, arguments.json, &output));
    if (!output.Flush()) return Fail("could not write to standard output");
  }
  if (!error) return kExitFine;
  Failure failure(*error);
  failure.in_output = arguments.stats;
  return tl::unexpected(std::move(failure));
}

Outcome Run(const Arguments& arguments, const Options& options) {
  if (arguments.rmgr == "list") {
    for (int rmid = 0; rmid <= kMaxBuiltinRmgr; rmid++)
      fmt::print("{}\n", RmgrName(static_cast<uint8_t>(rmid)));
    return kExitFine;
  }
  if (arguments.directory.empty())
    return tl::unexpected(options.Misuse("option --wal is required"));
  std::optional<uint8_t> rmgr;
  if (!arguments.rmgr.empty()) {
    rmgr = FindRmgr(arguments.rmgr);
    if (!rmgr)
      return Fail(fmt::format("resource manager \"{}\" does not exist; --rmgr=list shows them",
                              arguments.rmgr));
  }
  return DumpWal(arguments, rmgr);
}

// --stats: nothing, or "record".
Status ReadStats(const std::string& text, Arguments* arguments) {
  arguments->stats = true;
  arguments->by_operation = text == "record";
  if (text.empty() || text == "record") return {};
  return MakeError(ErrorCode::kInvalidArgument, "it must be record, or left out");
}

}  // namespace

CommandFunction DeclareWaldump(Options* options) {
  auto arguments = std::make_shared<Arguments>();
  options->Usage("[OPTION]... --wal=DIR");
  AddWalDirectory(options, &arguments->directory);
  AddLsnRange(options, &arguments->range);
  AddTimeline(options, &arguments->timeline);
  options->Text("-r, --rmgr=RMGR", &arguments->rmgr,
                "only show records of this resource manager; --rmgr=list lists valid names");
  options->Value(
      "-z, --stats[=record]",
      [arguments](const std::string& text) { return ReadStats(text, arguments.get()); },
      "show statistics instead of records: by resource manager, or by type of record");
  AddFormat(options, &arguments->json,
            "text (default): the lines of pg_waldump; json: an object on each line");
  options->Notes(
      "The exit status is 0 when the command reached --to or the end of WAL. It is 2 when\n"
      "WAL is damaged or missing; the message names the file and the LSN.\n\n"
      "Examples:\n"
      "  neon-redo waldump --wal=/var/lib/postgresql/15/main/pg_wal --from=0/15000028\n"
      "  neon-redo waldump --wal=archive --rmgr=Btree --format=json\n"
      "  neon-redo waldump --wal=archive --stats=record\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

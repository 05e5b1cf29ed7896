// neon-redo waldump: the records of a WAL directory as text, JSON or statistics.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/wal/stats.h"
#include "neon_redo/describe.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo::cli {

namespace {

struct Options {
  std::string directory;
  std::string from;
  std::string to;
  std::string rmgr;
  std::optional<uint32_t> timeline;
  std::string stats = "";
  bool want_stats = false;
  std::string format = "text";
};

int Trouble(const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "neon-redo waldump: error: {}\n", message);
  return kExitTrouble;
}

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

void PrintStatsJson(const WalStats& stats, bool by_operation, const WalReader& reader) {
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
  fmt::print("{}\n", out.dump());
}

// Reads and prints records until the WAL ends.
Status PrintRecords(WalReader* reader, std::optional<uint8_t> rmgr, bool json, Output* output) {
  RecordView view;
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

// Everything after the options were understood. Returns the exit status.
int DumpWal(const Options& options, const WalReaderOptions& reader_options,
            std::optional<uint8_t> rmgr) {
  auto opened = WalReader::Open(reader_options);
  if (!opened) return Trouble(opened.error().message);
  WalReader& reader = **opened;
  const bool json = options.format == "json";
  Status status;
  Output output;
  if (options.want_stats) {
    auto stats = std::make_unique<WalStats>();
    status = stats->AddAll(&reader, rmgr);
    const bool by_operation = options.stats == "record";
    if (json) {
      PrintStatsJson(*stats, by_operation, reader);
    } else {
      PrintStatsTable(*stats, by_operation);
    }
  } else {
    status = PrintRecords(&reader, rmgr, json, &output);
  }
  if (!output.Flush()) return Trouble("could not write to stdout");
  if (!status) return Trouble(status.error().message);
  if (!options.to.empty() && !reader.reached_to())
    return Trouble(fmt::format("WAL ends at LSN {}, before --to {}: {}",
                               reader.end_of_wal().ToString(), options.to, reader.end_reason()));
  return kExitFine;
}

int Run(const Options& options) {
  WalReaderOptions reader_options;
  reader_options.directory = options.directory;
  reader_options.timeline = options.timeline;
  if (!options.from.empty()) {
    auto lsn = Lsn::Parse(options.from);
    if (!lsn) return Trouble("--from: " + lsn.error().message);
    reader_options.from = *lsn;
  }
  if (!options.to.empty()) {
    auto lsn = Lsn::Parse(options.to);
    if (!lsn) return Trouble("--to: " + lsn.error().message);
    reader_options.to = *lsn;
  }
  std::optional<uint8_t> rmgr;
  if (options.rmgr == "list") {
    for (int rmid = 0; rmid <= kMaxBuiltinRmgr; rmid++)
      fmt::print("{}\n", RmgrName(static_cast<uint8_t>(rmid)));
    return kExitFine;
  }
  if (!options.rmgr.empty()) {
    rmgr = FindRmgr(options.rmgr);
    if (!rmgr)
      return Trouble(fmt::format("resource manager \"{}\" does not exist; --rmgr list shows them",
                                 options.rmgr));
  }
  return DumpWal(options, reader_options, rmgr);
}

}  // namespace

void AddWaldump(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("waldump", "Print WAL records, or statistics on them");
  command->add_option("--wal", options->directory, "Directory of WAL segments, or a data directory")
      ->required()
      ->type_name("DIR");
  command->add_option("--from", options->from, "Begin with the first record at or after this LSN")
      ->type_name("LSN");
  command->add_option("--to", options->to, "Only records that lie wholly before this LSN")
      ->type_name("LSN");
  command
      ->add_option("--timeline", options->timeline,
                   "Timeline to read (default: the highest that has --from)")
      ->type_name("TLI");
  command
      ->add_option("--rmgr", options->rmgr,
                   "Only records of this resource manager; \"list\" shows their names")
      ->type_name("NAME");
  auto* stats = command
                    ->add_option("--stats", options->stats,
                                 "Statistics instead of records: by resource manager, or with "
                                 "--stats=record by operation")
                    ->expected(0, 1)
                    ->type_name("[record]")
                    ->check(CLI::IsMember({"", "record"}));
  command
      ->add_option("--format", options->format,
                   "text (default; the lines of pg_waldump) or json (one object a line)")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  command->footer(
      "Ends with status 0 at the end of WAL or at --to, and with 2 and a message that names file\n"
      "and LSN when WAL is damaged or missing.\n\n"
      "Examples:\n"
      "  neon-redo waldump --wal /var/lib/postgresql/15/main/pg_wal --from 0/15000028\n"
      "  neon-redo waldump --wal archive --rmgr Btree --format json\n"
      "  neon-redo waldump --wal archive --stats=record\n");
  command->callback([options, stats, exit_status] {
    options->want_stats = stats->count() > 0;
    *exit_status = Run(*options);
  });
}

}  // namespace neon_redo::cli

// neon-redo ingest: what a WAL directory changes, counted or listed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.h"
#include "neon_redo/describe.h"
#include "neon_redo/ingest.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo::cli {

namespace {

struct Options {
  std::string directory;
  std::string from;
  std::string to;
  std::optional<uint32_t> timeline;
  std::string format = "text";
  bool list = false;
  bool commit_timestamps = false;
};

int Trouble(const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "neon-redo ingest: error: {}\n", message);
  return kExitTrouble;
}

void ListChanges(const ChangeList& changes, Lsn lsn, bool json) {
  for (const Change& change : changes) {
    if (!json) {
      fmt::print("{} {}\n", lsn.ToString(), DescribeChange(change));
      continue;
    }
    nlohmann::ordered_json line = {{"lsn", lsn.ToString()}, {"kind", ChangeKindName(change.kind)}};
    if (ChangesPage(change.kind)) line["key"] = change.key.ToString();
    line["description"] = DescribeChange(change);
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
}

// Calls row(resource manager, operation in hexadecimal, count).
template <typename Row>
void ForEachUnknown(const IngestCounts& counts, Row row) {
  for (size_t rmid = 0; rmid < counts.unknown.size(); rmid++) {
    for (size_t operation = 0; operation < 16; operation++) {
      if (const uint64_t n = counts.unknown[rmid][operation])
        row(rmid, fmt::format("{:02X}", operation << 4), n);
    }
  }
}

void PrintText(const IngestCounts& counts, const WalReader& reader) {
  fmt::print("{} records up to {}\n\n{:<22} {:>14}\n", counts.records,
             reader.end_of_wal().ToString(), "change", "count");
  for (int kind = 0; kind < kChangeKinds; kind++) {
    if (const uint64_t n = counts.changes[kind])
      fmt::print("{:<22} {:>14}\n", ChangeKindName(static_cast<ChangeKind>(kind)), n);
  }
  fmt::print("\n{:<22} {:>14}\n", "without a change", "records");
  for (size_t rmid = 0; rmid < 256; rmid++) {
    if (const uint64_t n = counts.without_change[rmid])
      fmt::print("{:<22} {:>14}\n", RmgrDisplayName(static_cast<uint8_t>(rmid)), n);
  }
  fmt::print("\n");
  bool any = false;
  ForEachUnknown(counts, [&](size_t rmid, const std::string& operation, uint64_t n) {
    any = true;
    fmt::print("unknown: resource manager {} ({}), operation {}: {} records\n", rmid,
               RmgrDisplayName(static_cast<uint8_t>(rmid)), operation, n);
  });
  if (!any) fmt::print("unknown records: 0\n");
}

void PrintJson(const IngestCounts& counts, const ClusterState& state, const WalReader& reader) {
  auto changes = nlohmann::ordered_json::object();
  for (int kind = 0; kind < kChangeKinds; kind++) {
    if (const uint64_t n = counts.changes[kind])
      changes[ChangeKindName(static_cast<ChangeKind>(kind))] = n;
  }
  auto without = nlohmann::ordered_json::object();
  for (size_t rmid = 0; rmid < 256; rmid++) {
    if (const uint64_t n = counts.without_change[rmid])
      without[RmgrDisplayName(static_cast<uint8_t>(rmid))] = n;
  }
  auto unknown = nlohmann::ordered_json::array();
  ForEachUnknown(counts, [&](size_t rmid, const std::string& operation, uint64_t n) {
    unknown.push_back({{"rmgr", rmid}, {"operation", operation}, {"records", n}});
  });
  const nlohmann::ordered_json out = {{"system_identifier", reader.system_identifier()},
                                      {"records", counts.records},
                                      {"end_lsn", reader.end_of_wal().ToString()},
                                      {"end_reason", reader.end_reason()},
                                      {"changes", changes},
                                      {"without_change", without},
                                      {"unknown", unknown},
                                      {"state",
                                       {{"timeline", state.timeline},
                                        {"checkpoint_redo", state.checkpoint_redo.ToString()},
                                        {"next_xid", state.next_xid},
                                        {"next_oid", state.next_oid},
                                        {"oldest_xid", state.oldest_xid},
                                        {"next_multixact", state.next_multixact},
                                        {"next_multixact_offset", state.next_multixact_offset},
                                        {"oldest_multixact", state.oldest_multixact},
                                        {"track_commit_timestamp", state.track_commit_timestamp}}}};
  fmt::print("{}\n", out.dump());
}

int Run(const Options& options) {
  WalReaderOptions reader_options;
  reader_options.directory = options.directory;
  reader_options.timeline = options.timeline;
  const std::pair<const std::string&, std::optional<Lsn>*> limits[] = {
      {options.from, &reader_options.from}, {options.to, &reader_options.to}};
  for (const auto& [text, lsn] : limits) {
    if (text.empty()) continue;
    auto parsed = Lsn::Parse(text);
    if (!parsed) return Trouble(parsed.error().message);
    *lsn = *parsed;
  }
  auto opened = WalReader::Open(reader_options);
  if (!opened) return Trouble(opened.error().message);
  WalReader& reader = **opened;
  Ingest ingest({.track_commit_timestamp = options.commit_timestamps});
  ChangeSink list;
  if (options.list)
    list = [json = options.format == "json"](const ChangeList& changes, const RecordView&,
                                             const WalRecord& record) {
      ListChanges(changes, record.end, json);
      return Status();
    };
  const Status status = ingest.TakeAll(&reader, list);
  if (!options.list) {
    if (options.format == "json") {
      PrintJson(ingest.counts(), ingest.state(), reader);
    } else {
      PrintText(ingest.counts(), reader);
    }
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) return Trouble("could not write to stdout");
  if (!status) return Trouble(status.error().message);
  if (!options.to.empty() && !reader.reached_to())
    return Trouble(fmt::format("WAL ends at LSN {}, before --to {}: {}",
                               reader.end_of_wal().ToString(), options.to, reader.end_reason()));
  return kExitFine;
}

}  // namespace

void AddIngest(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app->add_subcommand("ingest", "Show what WAL changes: pages, relations, files, counters");
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
  command->add_flag("--list", options->list,
                    "Every change on a line of its own instead of their numbers");
  command->add_flag("--commit-timestamps", options->commit_timestamps,
                    "The cluster has track_commit_timestamp = on where the WAL begins");
  command->add_option("--format", options->format, "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  command->footer(
      "Goes beyond the blocks that records name: pages of pg_xact, pg_multixact, pg_commit_ts and\n"
      "visibility maps, relations created, cut and dropped, databases, relation maps, counters.\n"
      "Records that nothing is known of are told by resource manager and number.\n\n"
      "Examples:\n"
      "  neon-redo ingest --wal /var/lib/postgresql/15/main/pg_wal\n"
      "  neon-redo ingest --wal archive --from 0/15000028 --list | grep drop_relation\n");
  command->callback([options, exit_status] { *exit_status = Run(*options); });
}

}  // namespace neon_redo::cli

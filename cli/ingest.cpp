// neon-redo ingest: what a WAL directory changes, counted or listed.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cpp_core/base/try.h"
#include "neon_redo/describe.h"
#include "neon_redo/ingest.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo::cli {

namespace {

struct IngestArguments {
  std::vector<std::string> directories;
  std::string restore_command;
  std::string stanza;
  std::string cipher_pass_file;
  LsnRange range;
  std::optional<uint32_t> timeline;
  bool json = false;
  bool list = false;
  bool commit_timestamps = false;
};

void ListChanges(const ChangeList& changes, Lsn lsn, bool json) {
  for (const Change& change : changes) {
    if (!json) {
      fmt::print("{} {}\n", lsn.ToString(), DescribeChange(change));
      continue;
    }
    nlohmann::ordered_json line = {{"lsn", lsn.ToString()}, {"kind", ChangeKindName(change.kind)}};
    if (ChangesPage(change.kind)) line["key"] = change.key.ToString();
    line["description"] = DescribeChange(change);
    fmt::print("{}\n", JsonText(line));
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

void PrintJson(const IngestCounts& counts, const ClusterState& state, const WalReader& reader,
               const std::optional<Error>& error) {
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
    unknown.push_back({{"resource_manager", RmgrDisplayName(static_cast<uint8_t>(rmid))},
                       {"resource_manager_id", rmid},
                       {"operation", operation},
                       {"records", n}});
  });
  nlohmann::ordered_json out = {{"system_identifier", reader.system_identifier()},
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
  if (error) out["error"] = error->message;
  fmt::print("{}\n", JsonText(out));
}

Outcome Run(const IngestArguments& arguments, const Options& options) {
  if (arguments.directories.empty() && arguments.restore_command.empty())
    return tl::unexpected(options.Misuse("option --wal or --restore-command is required"));
  ASSIGN_OR_RETURN(const auto reader,
                   WalReader::Open({arguments.directories, arguments.range.from, arguments.range.to,
                                    arguments.timeline, arguments.restore_command, arguments.stanza,
                                    arguments.cipher_pass_file}));
  Ingest ingest({.track_commit_timestamp = arguments.commit_timestamps});
  ChangeSink list;
  if (arguments.list)
    list = [json = arguments.json](const ChangeList& changes, const RecordView&,
                                   const WalRecord& record) {
      ListChanges(changes, record.end, json);
      return Status();
    };
  const Status status = ingest.TakeAll(reader.get(), list);
  SayNotes(reader->notes());
  const std::optional<Error> error = RangeError(arguments.range, *reader, status);
  if (!arguments.list) {
    if (arguments.json) {
      PrintJson(ingest.counts(), ingest.state(), *reader, error);
    } else {
      PrintText(ingest.counts(), *reader);
    }
  }
  RETURN_IF_ERROR(FlushOutput());
  if (!error) return kExitFine;
  Failure failure(*error);
  failure.in_output = !arguments.list;
  return tl::unexpected(std::move(failure));
}

}  // namespace

CommandFunction DeclareIngest(Options* options) {
  auto arguments = std::make_shared<IngestArguments>();
  options->Usage(
      "[OPTION]... --wal=DIR...\n  neon-redo ingest [OPTION]... --restore-command=COMMAND --from=LSN");
  AddWalDirectories(options, &arguments->directories);
  AddRestoreCommand(options, &arguments->restore_command);
  AddRepository(options, &arguments->stanza, &arguments->cipher_pass_file);
  AddUntestedVersion(options);
  AddLsnRange(options, &arguments->range);
  AddTimeline(options, &arguments->timeline);
  options->Flag("--list", &arguments->list,
                "print each change on a line of its own instead of counts");
  options->Flag("--commit-timestamps", &arguments->commit_timestamps,
                "the cluster had track_commit_timestamp = on where the WAL starts");
  AddFormat(options, &arguments->json, "text (default) or json");
  options->Notes(
      "The changes include those that records do not name as blocks: pages of pg_xact,\n"
      "pg_multixact, pg_commit_ts and visibility maps; relations that are created,\n"
      "truncated and dropped; databases, relation maps and counters. Records that the\n"
      "program does not know are counted by resource manager and operation.\n\n"
      "Examples:\n"
      "  neon-redo ingest --wal=/var/lib/postgresql/15/main/pg_wal\n"
      "  neon-redo ingest --wal=archive --from=0/15000028 --list | grep drop_relation\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli

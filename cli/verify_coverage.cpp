#include "cli/verify_coverage.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/foreign_text.h"
#include "cli/grouped.h"
#include "cli/ledger_report.h"
#include "cli/verify_running.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/describe/operation.h"

namespace neon_redo::cli {

namespace {

// Others, such as configuration files, are opened only to compare their checksums.
const char* FilesRead(const BackupCounts& b) {
  return b.has_manifest && b.files_by_checksum > 0 ? "all files" : "the files that hold data";
}

}  // namespace

void PrintWal(const VerifyResult& r) {
  fmt::print("WAL from {} to {}{}: {} records, {} bytes\n", r.start.ToString(), r.end.ToString(),
             r.timeline > 0 ? fmt::format(", timeline {}", r.timeline) : "", Grouped(r.records),
             Grouped(r.wal_bytes));
  if (!r.end_reason.empty()) fmt::print("End: {}\n", PrintableLines(r.end_reason));
  if (r.last_transaction)
    fmt::print("Last transaction: ended at {}\n", TimestampText(*r.last_transaction));
  std::vector<std::string> sources = r.wal_directories;
  if (!r.restore_command.empty())
    sources.push_back(fmt::format("restore command \"{}\"", r.restore_command));
  if (!sources.empty()) fmt::print("Read from: {}\n", PrintableLines(NamePaths(sources)));
  for (const std::string& note : r.wal_notes) fmt::print("Note: {}\n", PrintableLines(note));
  fmt::print("\n");
  for (const auto& [timeline, start] : r.other_timelines)
    fmt::print("Not read: WAL of timeline {}{}. --timeline={} follows that timeline.\n\n", timeline,
               start.valid() ? fmt::format(" from {} on", start.ToString()) : "", timeline);
}

void PrintCoverage(const VerifyReport& report, const VerifyResult& r) {
  fmt::print("\nCovered: {}.\n", fmt::join(Covered(report, r), "; "));
  if (report.images) return;
  fmt::print("Not covered: {}.\n", fmt::join(NotCovered(report, r), "; "));
}

std::vector<std::string> Covered(const VerifyReport& report, const VerifyResult& r) {
  if (report.images) return {"each record of the WAL whose image has the page after it"};
  const bool whole = r.backup.was_read;
  std::vector<std::string> out;
  if (!report.only.empty()) {
    out.push_back(fmt::format("only {}, compared with those in {}",
                              PrintableLines(fmt::format("{}", fmt::join(report.only, ", "))),
                              PrintableLines(report.against)));
    if (r.running) out.push_back(RunningCoverage(r));
    return out;
  }
  if (whole) out.push_back(fmt::format("{} of the backup", FilesRead(r.backup)));
  if (r.ledger.relied) out.push_back(ReliedOn(r.ledger) + ", by the ledger");
  out.push_back("the pages that this WAL changes, " +
                (report.compares() ? "compared with those in " + PrintableLines(report.against)
                                   : std::string("rebuilt")));
  if (report.compares() && whole) out.push_back("the pages that it does not change, compared");
  if (r.running) out.push_back(RunningCoverage(r));
  return out;
}

std::vector<std::string> NotCovered(const VerifyReport& report, const VerifyResult& r) {
  if (report.images) return {"pages without an image in this WAL, and all files"};
  std::vector<std::string> missing;
  if (!report.only.empty())
    missing.push_back("all other pages, SLRUs, relation maps and databases");
  if (r.ledger.relied)
    missing.push_back("bytes that a disk has changed since then without a trace (--full)");
  else if (!r.backup.was_read)
    missing.push_back("the backup's other files and pages");
  if (!report.compares()) missing.push_back("a comparison with another copy (--against)");
  missing.push_back(report.compares() ? "the free space map, which is not in WAL"
                                      : "hint bits and the free space map, which are not in WAL");
  missing.push_back("rows of unlogged relations");
  if (!r.skipped.empty()) missing.push_back("the pages that are counted as skipped");
  return missing;
}

void AddWal(const VerifyResult& r, nlohmann::ordered_json* out) {
  using Json = nlohmann::ordered_json;
  (*out)["end_reason"] = r.end_reason;
  (*out)["last_transaction"] =
      r.last_transaction ? Json(TimestampText(*r.last_transaction)) : nullptr;
  (*out)["wal_directories"] = r.wal_directories;
  (*out)["restore_command"] = r.restore_command.empty() ? Json(nullptr) : Json(r.restore_command);
  (*out)["wal_notes"] = r.wal_notes;
}

nlohmann::ordered_json CoverageJson(const VerifyReport& report, const VerifyResult& r) {
  using Json = nlohmann::ordered_json;
  if (report.images) return {{"images", true}};
  const bool compares_unchanged = report.compares() && (r.backup.was_read || !report.only.empty());
  return {{"images", false},
          {"backup", r.backup.was_read ? FilesRead(r.backup)
                     : r.ledger.relied ? "proven before, by the ledger"
                                       : "not read as a whole"},
          {"only", report.only.empty() ? Json(nullptr) : Json(report.only)},
          {"pages_changed_by_wal", report.compares() ? "compared" : "rebuilt"},
          {"pages_not_changed_by_wal", compares_unchanged ? "compared" : "not compared"},
          {"against", report.against.empty() ? nullptr : Json(report.against)},
          {"until", report.until.empty() ? nullptr : Json(report.until)}};
}

}  // namespace neon_redo::cli

#include "cli/verify_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/foreign_text.h"
#include "cli/grouped.h"
#include "cli/ledger_report.h"
#include "cli/report_damage.h"
#include "cli/verify_coverage.h"
#include "cli/verify_running.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/verify/data_directory.h"
#include "neon_redo/describe.h"

namespace neon_redo::cli {

namespace {

constexpr size_t kShownMismatches = 20;
// By --quick.
constexpr const char* kBackupLeftOut = "the backup was not read as a whole";
constexpr const char* kUnchangedLeftOut = "nothing was compared that WAL does not change";

double Rate(uint64_t n, double seconds) {
  return seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

nlohmann::ordered_json MismatchJson(const Mismatch& m) {
  using Json = nlohmann::ordered_json;
  const bool is_block = m.tag.block != kNoBlockNumber;
  return {
      {"relation", IsRelation(m) ? Json(RelationName(m.tag.rel)) : nullptr},
      {"fork", IsRelation(m) ? Json(ForkName(m.tag.fork)) : nullptr},
      {"block", is_block ? Json(m.tag.block) : nullptr},
      {"file", m.file.empty() ? nullptr : Json(m.file)},
      {"lsn", m.lsn.ToString()},
      {"first_differing_offset", m.offset ? nlohmann::ordered_json(*m.offset) : nullptr},
      {"last_record", m.last_record},
      {"problem", m.problem},
      {"damage", DamageName(m.damage) ? nlohmann::ordered_json(DamageName(m.damage)) : nullptr},
      {"disk_lsn", m.disk_lsn.valid() ? nlohmann::ordered_json(m.disk_lsn.ToString()) : nullptr},
      {"blocks", is_block ? Json(m.blocks) : nullptr},
      {"in_backup", m.in_backup},
      {"subject", m.subject.empty() ? nullptr : Json(m.subject)},
  };
}

nlohmann::ordered_json ChangesJson(const ChangeCounts& c) {
  return {{"native", c.native},
          {"unsupported", c.unsupported},
          {"malformed", c.malformed},
          {"behind", c.behind},
          {"chosen", c.chosen}};
}

const char* NameOf(const VerifyResult& r, uint8_t rmid, uint8_t info) {
  return r.version ? OperationName(*r.version, rmid, info) : nullptr;
}

// What is not zero, by resource manager and operation.
nlohmann::ordered_json OperationsJson(const VerifyResult& r) {
  auto out = nlohmann::ordered_json::array();
  for (int rmid = 0; rmid < 256; rmid++) {
    for (int operation = 0; operation < 16; operation++) {
      const ChangeCounts& c = r.engines.of[rmid][operation];
      if (c.total() == 0) continue;
      const auto info = static_cast<uint8_t>(operation << 4);
      const char* name = NameOf(r, static_cast<uint8_t>(rmid), info);
      nlohmann::ordered_json entry = {
          {"resource_manager", RmgrDisplayName(static_cast<uint8_t>(rmid))},
          {"operation", name ? nlohmann::ordered_json(name) : nullptr},
          {"info", fmt::format("{:02X}", info)}};
      entry.update(ChangesJson(c));
      out.push_back(std::move(entry));
    }
  }
  return out;
}

double NativeShare(const VerifyResult& r) {
  const ChangeCounts all = r.engines.Total();
  return all.total() == 0 ? 0 : static_cast<double>(all.native) / static_cast<double>(all.total());
}

// Pages that are compared with nothing are neither equal nor different.
void PrintTable(const VerifyReport& report, const VerifyResult& r) {
  const auto line = [&](const std::string& name, const std::string& rebuilt,
                        const std::string& equal, const std::string& different) {
    fmt::print("{:<18} {:>12}", name, rebuilt);
    if (report.compares_something()) fmt::print(" {:>12}", equal);
    fmt::print(" {:>12}\n", different);
  };
  line("Resource manager", "Rebuilt", "Equal",
       report.compares_something() ? "Different" : "Not rebuilt");
  RmgrCounts total;
  const auto row = [&](const std::string& name, const RmgrCounts& c) {
    line(name, Grouped(c.rebuilt), Grouped(c.equal), Grouped(c.different));
  };
  for (int rmid = 0; rmid < 256; rmid++) {
    const RmgrCounts& c = r.by_rmgr[rmid];
    if (c.rebuilt + c.different == 0) continue;
    row(RmgrDisplayName(static_cast<uint8_t>(rmid)), c);
    total.rebuilt += c.rebuilt;
    total.equal += c.equal;
    total.different += c.different;
  }
  fmt::print("{:-<{}}\n", "", report.compares_something() ? 57 : 44);
  row("Total", total);
}

// Which engine applied the changes, and, of what went to a worker, why.
void PrintEngines(const VerifyReport& report, const VerifyResult& r) {
  const ChangeCounts all = r.engines.Total();
  if (all.total() == 0) return;
  fmt::print("\nChanges: {}, {:.2f} % of them by the native engine\n", Grouped(all.total()),
             100 * NativeShare(r));
  if (report.engine == Engine::kWorker) return;
  const char* by_whom = report.engine == Engine::kNative ? "by nobody" : "by a worker";
  for (int rmid = 0; rmid < 256; rmid++) {
    for (int operation = 0; operation < 16; operation++) {
      const ChangeCounts& c = r.engines.of[rmid][operation];
      const auto id = static_cast<uint8_t>(rmid);
      const char* name = NameOf(r, id, static_cast<uint8_t>(operation << 4));
      const auto line = [&](uint64_t count, const char* why) {
        if (count > 0)
          fmt::print("  {:>12} {}: {} {}, {}\n", Grouped(count), by_whom, RmgrDisplayName(id),
                     name ? name : "(unknown)", why);
      };
      line(c.unsupported, "not supported natively");
      line(c.malformed, "does not fit its page");
    }
  }
  if (all.behind > 0)
    fmt::print("  {:>12} {}: behind one of these on the same page\n", Grouped(all.behind), by_whom);
}

// The first mismatch with a page and its file's name; null when there is none.
const Mismatch* FirstOnPage(const VerifyResult& r) {
  for (const Mismatch& m : r.mismatches)
    if (!m.file.empty() && m.tag.block != kNoBlockNumber && !m.in_backup) return &m;
  return nullptr;
}

// As --explain takes it: of relations the block counts over all segments.
std::string PageName(const Mismatch& m) {
  const std::string file = m.file.substr(0, m.file.find('.', m.file.rfind('/')));
  return fmt::format("{}/{}", file, m.tag.block);
}

void PrintMismatches(const VerifyReport& report, const VerifyResult& r) {
  if (r.mismatches.empty()) return;
  const char* separator = "\nDifferent, by kind: ";
  for (const auto& [kind, count] : r.damage) {
    fmt::print("{}{} {}", separator, Grouped(count), kind);
    separator = ", ";
  }
  fmt::print("\n");
  const size_t shown = std::min(r.mismatches.size(), kShownMismatches);
  for (size_t i = 0; i < shown; i++) {
    const Mismatch& m = r.mismatches[i];
    const std::string lsn = m.in_backup ? "" : fmt::format(", LSN {}", m.lsn.ToString());
    fmt::print("  {}{}: {}{}\n", PrintableLines(Place(m)), lsn, PrintableLines(m.problem),
               m.offset ? fmt::format("; first different byte: {}", *m.offset) : "");
    if (!m.last_record.empty()) fmt::print("    last record: {}\n", PrintableLines(m.last_record));
  }
  if (const Mismatch* first = FirstOnPage(r)) {
    const std::string page = PageName(*first);
    fmt::print("  All records of a page: neon-redo verify --explain {} {}\n", page, report.input);
    if (!report.images)
      fmt::print("  The page as WAL has it: neon-redo page {} {} --lsn=end --output=FILE\n", page,
                 report.input);
  }
  if (shown < r.mismatches.size())
    fmt::print("  and {} more; --format json lists {}\n", Grouped(r.mismatches.size() - shown),
               r.not_listed == 0 ? "them all" : "them");
  if (r.not_listed > 0)
    fmt::print("  {} more pages and files are different and not listed\n", Grouped(r.not_listed));
}

// Null where none was to be read.
nlohmann::ordered_json BackupJson(const VerifyReport& report, const BackupCounts& b) {
  if (report.images) return nullptr;
  if (!b.was_read && !report.only.empty())
    return {{"read", false}, {"losses", b.losses}, {"unchanged_compared", b.unchanged_compared}};
  if (!b.was_read) return {{"read", false}};
  return {{"read", true},
          {"manifest", b.has_manifest},
          {"page_checksums", b.has_checksums},
          {"files", b.files},
          {"files_read", b.files_read},
          {"bytes_read", b.bytes_read},
          {"files_with_right_checksum", b.files_by_checksum},
          {"pages", b.pages},
          {"pages_made_good", b.pages_made_good},
          {"losses", b.losses},
          {"unchanged_compared", b.unchanged_compared}};
}

// What was read of the backup, and by what it was judged.
void PrintBackup(const BackupCounts& b) {
  if (!b.was_read) return;
  fmt::print("\nBackup: {} files, {} of them read ({} bytes, {} pages); {}\n", Grouped(b.files),
             Grouped(b.files_read), Grouped(b.bytes_read), Grouped(b.pages),
             b.losses > 0     ? fmt::format("{} losses", Grouped(b.losses))
             : b.has_manifest ? "nothing is lost"
                              : "no loss was found");
  if (b.has_manifest)
    fmt::print("  {:>12} files have the checksum in the backup's manifest\n",
               Grouped(b.files_by_checksum));
  else
    fmt::print(
        "  the backup has no manifest that can be used: a file that was cut at the end of a block, "
        "filled with zeroes, or replaced by an older one, may not be noticed\n");
  if (!b.has_checksums)
    fmt::print("  the cluster has no data checksums: only the headers of pages were checked\n");
  if (b.pages_made_good > 0)
    fmt::print("  {:>12} pages were copied while they were written; WAL rebuilds them\n",
               Grouped(b.pages_made_good));
  if (b.unchanged_compared > 0)
    fmt::print("  {:>12} pages that WAL does not change were compared\n",
               Grouped(b.unchanged_compared));
}

void PrintLedger(const VerifyReport& report, const VerifyResult& r) {
  if (report.ledger.empty()) return;
  fmt::print("\nLedger {}:\n", PrintableLines(report.ledger));
  for (const std::string& sentence : LedgerSentences(r.ledger, std::time(nullptr)))
    fmt::print("  {}\n", PrintableLines(sentence));
}

void PrintNotes(const VerifyResult& r) {
  if (r.notes.empty()) return;
  fmt::print("\nNotes, which are no differences:\n");
  const size_t shown = std::min(r.notes.size(), kShownMismatches);
  for (size_t i = 0; i < shown; i++)
    fmt::print("  {}: {}\n", PrintableLines(Place(r.notes[i])), PrintableLines(r.notes[i].problem));
  const uint64_t more = r.notes.size() - shown + r.notes_not_listed;
  if (more > 0) fmt::print("  and {} more\n", Grouped(more));
}

// Writes the text with its empty array of that name replaced by the items, one after another. Returns the
// rest of the text, which it does not write.
std::string WriteItems(const std::string& text, const char* name,
                       const std::vector<Mismatch>& items, const TextSink& write) {
  const std::string empty = fmt::format("\"{}\": []", name);
  const size_t at = text.find(empty);
  if (items.empty() || at == std::string::npos) return text;
  write(fmt::format("{}\"{}\": [", text.substr(0, at), name));
  const char* separator = "\n";
  for (const Mismatch& m : items) {
    std::string item = JsonText(MismatchJson(m), 2);
    for (size_t line = 0; (line = item.find('\n', line)) != std::string::npos; line += 5)
      item.insert(line + 1, 4, ' ');
    write(fmt::format("{}    {}", separator, item));
    separator = ",\n";
  }
  write("\n  ]");
  return text.substr(at + empty.size());
}

// What the last line says of the backup itself.
std::string BackupVerdict(const VerifyReport& report, const BackupCounts& b, uint64_t wal_bytes) {
  if (report.images) return "";
  if (!report.only.empty())
    return fmt::format(
        " --only: {} bytes of WAL were read for them; the rest of the backup, other pages, SLRUs, maps and "
        "databases were not looked at.",
        Grouped(wal_bytes));
  if (report.quick) return fmt::format(" --quick: {}, and {}.", kBackupLeftOut, kUnchangedLeftOut);
  if (b.losses == 0) {
    if (report.compares_something()) return "";
    return b.has_manifest ? " The backup is whole." : " No loss was found in the backup.";
  }
  return fmt::format(" The backup has {} {}: do not rely on it, and take a new one.",
                     Grouped(b.losses), b.losses == 1 ? "loss" : "losses");
}

// Pages or images that were compared, or pages that were rebuilt, as the report demands.
uint64_t PagesDone(const VerifyReport& report, const VerifyResult& r) {
  return report.images                 ? r.images_compared
         : report.compares_something() ? r.pages_compared
                                       : r.pages_replayed;
}

// The last line.
void PrintVerdict(const VerifyReport& report, const VerifyResult& r) {
  const bool is_equal = r.different == 0 && report.compares_something() &&
                        PagesDone(report, r) + r.backup.unchanged_compared > 0;
  const char* paint = r.different > 0 ? "\033[31m" : is_equal ? "\033[32m" : "";
  if (!isatty(STDOUT_FILENO)) paint = "";
  fmt::print("{}{}{}\n", paint, VerdictText(report, r), *paint != '\0' ? "\033[0m" : "");
}

}  // namespace

const char* EngineName(Engine engine) {
  return engine == Engine::kNative ? "native" : engine == Engine::kWorker ? "worker" : "auto";
}

std::string VerdictText(const VerifyReport& report, const VerifyResult& r) {
  const char* what = report.images ? "block images" : "pages";
  const uint64_t compared = PagesDone(report, r) + r.backup.unchanged_compared;
  const uint64_t different = r.different - std::min(r.different, r.backup.losses);
  const std::string of_backup = RunningVerdict(r) + BackupVerdict(report, r.backup, r.wal_bytes);
  const std::string relied =
      r.ledger.relied ? fmt::format(" Relied on {}.", ReliedOn(r.ledger)) : std::string();
  if (!report.compares_something())
    return fmt::format(
        "WAL replays to {}: {} pages rebuilt, {} could not be.{}{} Nothing was compared: give "
        "--against for that.",
        r.end.ToString(), Grouped(compared), Grouped(different), of_backup, relied);
  if (different > 0)
    return fmt::format("{} of {} {} are different.{}", Grouped(different), Grouped(compared), what,
                       of_backup);
  if (compared == 0)
    return fmt::format("Nothing was compared: {}.{}",
                       report.images         ? "WAL has no images to compare with"
                       : report.only.empty() ? "WAL changes no pages"
                                             : "the pages were skipped, or are unknown",
                       of_backup);
  return fmt::format("All {} {} are equal.{}", Grouped(compared), what, of_backup);
}

nlohmann::ordered_json VerifyJson(const VerifyReport& report, const VerifyResult& r) {
  const ChangeCounts all = r.engines.Total();
  nlohmann::ordered_json out = {
      {"wal_bytes", r.wal_bytes},
      {"records", r.records},
      {"requests", all.total()},
      {"native_share", NativeShare(r)},
      {"pages_compared", r.pages_compared},
      {"images_compared", r.images_compared},
      {"pages_replayed", r.pages_replayed},
      {"compared", r.compared},
      {"different", r.different},
      {"damage", r.damage},
      {"mismatches", nlohmann::ordered_json::array()},
      {"not_listed", r.not_listed},
      {"notes", nlohmann::ordered_json::array()},
      {"notes_not_listed", r.notes_not_listed},
      {"skipped", nlohmann::ordered_json::object()},
      {"resource_managers", nlohmann::ordered_json::object()},
      {"start_lsn", r.start.ToString()},
      {"end_lsn", r.end.ToString()},
      {"timeline", r.timeline},
      {"other_timelines", nlohmann::ordered_json::array()},
      {"engine", EngineName(report.engine)},
      {"changes", ChangesJson(all)},
      {"operations", OperationsJson(r)},
      {"backup", BackupJson(report, r.backup)},
      {"running_server", RunningJson(r)},
      {"pages_spilled", r.pages_spilled},
      {"jobs", report.jobs},
      {"elapsed_seconds", r.elapsed_seconds},
  };
  AddWal(r, &out);
  out["ledger"] = LedgerJson(report.ledger, r.ledger);
  out["coverage"] = CoverageJson(report, r);
  for (const auto& [reason, count] : r.skipped) out["skipped"][reason] = count;
  for (const auto& [timeline, start] : r.other_timelines) {
    nlohmann::ordered_json other = {{"timeline", timeline}, {"start_lsn", nullptr}};
    if (start.valid()) other["start_lsn"] = start.ToString();
    out["other_timelines"].push_back(std::move(other));
  }
  for (int rmid = 0; rmid < 256; rmid++) {
    const RmgrCounts& c = r.by_rmgr[rmid];
    if (c.rebuilt + c.different == 0) continue;
    out["resource_managers"][RmgrDisplayName(static_cast<uint8_t>(rmid))] = {
        {"rebuilt", c.rebuilt}, {"equal", c.equal}, {"different", c.different}};
  }
  return out;
}

void WriteVerifyJson(const nlohmann::ordered_json& json, const VerifyResult& r,
                     const TextSink& write) {
  const std::string rest = WriteItems(JsonText(json, 2), "mismatches", r.mismatches, write);
  write(WriteItems(rest, "notes", r.notes, write) + "\n");
}

void PrintVerifyJson(const VerifyReport& report, const VerifyResult& r) {
  WriteVerifyJson(VerifyJson(report, r), r,
                  [](const std::string& text) { fmt::print("{}", text); });
}

void PrintVerifyText(const VerifyReport& report, const VerifyResult& r) {
  PrintWal(r);
  PrintTable(report, r);
  PrintEngines(report, r);
  PrintBackup(r.backup);
  PrintLedger(report, r);
  PrintMismatches(report, r);
  PrintNotes(r);
  if (!r.compared.empty()) {
    fmt::print("\nCompared:\n");
    for (const auto& [what, count] : r.compared) fmt::print("  {:>12} {}\n", Grouped(count), what);
  }
  if (!r.skipped.empty()) {
    fmt::print("\nSkipped:\n");
    for (const auto& [reason, count] : r.skipped)
      fmt::print("  {:>12} {}\n", Grouped(count), PrintableLines(reason));
  }
  PrintLooks(r);
  PrintCoverage(report, r);
  fmt::print("\n{:.1f} s with {} {}: {} records/s, {:.1f} MB/s of WAL, {} {}/s\n",
             r.elapsed_seconds, report.jobs, report.jobs == 1 ? "thread" : "threads",
             Grouped(static_cast<uint64_t>(Rate(r.records, r.elapsed_seconds))),
             Rate(r.wal_bytes, r.elapsed_seconds) / 1e6,
             Grouped(static_cast<uint64_t>(Rate(PagesDone(report, r), r.elapsed_seconds))),
             report.images ? "images" : "pages");
  PrintVerdict(report, r);
}

}  // namespace neon_redo::cli

#include "cli/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "cli/foreign_text.h"
#include "cli/grouped.h"
#include "cli/ledger_report.h"
#include "cli/report_damage.h"
#include "cli/report_map.h"
#include "cli/report_style.h"
#include "cli/report_text.h"
#include "cli/verify_coverage.h"
#include "cpp_core/base/files.h"
#include "cpp_core/describe/operation.h"
#include "neon_redo/version.h"

namespace neon_redo::cli {

namespace {

// Findings, notes and relations that are listed, and files that are mapped. The ranges of these are complete.
constexpr size_t kShownFindings = 1000, kShownFiles = 100;

std::string Section(const std::string& heading, const std::string& content) {
  return fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", heading, content);
}

std::string Paragraph(const std::string& html, const char* style = "") {
  return *style == '\0' ? fmt::format("<p>{}</p>\n", html)
                        : fmt::format("<p class=\"{}\">{}</p>\n", style, html);
}

// Rows of a name and its value; values are HTML, and empty ones are left out.
std::string Pairs(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string out = "<div class=\"table\"><table class=\"pairs\"><tbody>\n";
  for (const auto& [name, value] : rows)
    if (!value.empty())
      out += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", name, value);
  return out + "</tbody></table></div>\n";
}

std::string LsnCode(Lsn lsn) {
  return lsn.valid() ? "<span class=\"nobreak\">" + HtmlCode(lsn.ToString()) + "</span>" : "";
}

std::string Plural(uint64_t n, const char* one, const char* many) {
  return fmt::format("{} {}", Grouped(n), n == 1 ? one : many);
}

// What a page leaves out, if anything.
std::string More(size_t count, const char* one, const char* many) {
  return count == 0
             ? ""
             : Paragraph(Plural(count, one, many) + " in the JSON report (--report=FILE.json).");
}

const char* StateClass(const ReportedRun& run) {
  if (run.failure != nullptr) return "none";
  if (run.status() == kExitDifference) return "bad";
  return run.result->backup.was_read ? "good" : "part";
}

// The figures that are looked for first.
std::string Figures(const ReportedRun& run) {
  const VerifyResult& r = *run.result;
  std::string out = "<dl class=\"figures\">";
  const auto figure = [&out](const char* name, const std::string& value) {
    out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, value);
  };
  figure("Damaged pages, files", Grouped(r.different));
  if (run.report->images)
    figure("Images compared", Grouped(r.images_compared));
  else if (run.report->compares())
    figure("Pages compared", Grouped(r.pages_compared + r.backup.unchanged_compared));
  else
    figure("Pages rebuilt from WAL", Grouped(r.pages_replayed));
  if (r.backup.was_read) {
    figure("Files of the backup read", Grouped(r.backup.files_read));
    figure("Losses in the backup", Grouped(r.backup.losses));
  } else if (r.ledger.relied) {
    figure("Files of the backup relied on", Grouped(r.ledger.files));
    figure("Segments of WAL relied on", Grouped(r.ledger.segments));
  }
  figure("WAL records replayed", Grouped(r.records));
  return out + "</dl>\n";
}

// "2024-05-31 14:00:00 UTC" of TimeNow.
std::string TimeElement(const std::string& time) {
  return fmt::format("<time datetime=\"{}\">{} {} UTC</time>", time, time.substr(0, 10),
                     time.substr(11, 8));
}

std::string Header(const ReportedRun& run, const ReportFacts& facts) {
  std::string subject = "WAL and the page images in it";
  if (facts.backup) subject = "the base backup " + HtmlText(facts.backup->given);
  if (facts.cluster) subject += ", compared with " + HtmlText(facts.cluster->given);
  std::string out =
      fmt::format("<header class=\"{}\">\n<h1>Verification of {}</h1>\n", StateClass(run), subject);
  out += Paragraph(fmt::format("<span class=\"verdict\">{}</span>", run.verdict()));
  out += Paragraph(HtmlText(run.summary()), "summary");
  if (run.failure != nullptr && !run.failure->hint.empty())
    out += Paragraph(HtmlText(run.failure->hint));
  if (run.result != nullptr) out += Figures(run);
  out +=
      Paragraph(fmt::format("Done on <strong>{}</strong> by {}, from {} to {}, with neon-redo {}.",
                            HtmlText(facts.host), HtmlText(facts.user), TimeElement(facts.started),
                            TimeElement(facts.ended), LibraryVersion()),
                "soft");
  return out + "</header>\n";
}

std::string Identity(const DirectoryIdentity& of, const Lsn backup_end) {
  std::vector<std::pair<std::string, std::string>> rows = {{"Path", HtmlCode(of.path)},
                                                           {"Not known", HtmlText(of.problem)}};
  if (of.control) {
    rows.emplace_back("System identifier", HtmlCode(std::to_string(of.control->system_identifier)));
    rows.emplace_back("PostgreSQL", std::to_string(MajorVersion(*of.control->version)));
    rows.emplace_back("Data checksums", of.control->checksums ? "on" : "off");
  }
  if (of.label) {
    rows.emplace_back("Label", HtmlText(of.label->label));
    rows.emplace_back("Taken from", of.label->from_standby ? "a standby" : "a primary");
    rows.emplace_back("Began at", HtmlText(of.label->start_time));
    rows.emplace_back("First LSN", LsnCode(of.label->start));
    rows.emplace_back("Last LSN", LsnCode(backup_end));
    rows.emplace_back("Timeline", std::to_string(of.label->timeline));
  } else if (of.control) {
    rows.emplace_back("State", HtmlText(of.control->state));
    rows.emplace_back("Last checkpoint", LsnCode(of.control->checkpoint));
    rows.emplace_back("Timeline", std::to_string(of.control->timeline));
  }
  return Pairs(rows);
}

std::string Identities(const ReportedRun& run, const ReportFacts& facts) {
  std::string columns;
  const Lsn backup_end = run.result != nullptr ? run.result->backup_end : Lsn();
  if (facts.backup)
    columns += "<div><h3>Base backup</h3>\n" + Identity(*facts.backup, backup_end) + "</div>";
  if (facts.cluster)
    columns += "<div><h3>Compared with</h3>\n" + Identity(*facts.cluster, {}) + "</div>";
  if (columns.empty()) return "";
  return Section("What was verified", "<div class=\"columns\">" + columns + "</div>\n");
}

std::string Coverage(const ReportedRun& run) {
  const auto list = [](const std::vector<std::string>& items) {
    std::vector<std::string> out;
    out.reserve(items.size());
    for (const std::string& item : items) out.push_back(HtmlText(item));
    return HtmlList(out);
  };
  return Section("What the check covered",
                 "<div class=\"columns\"><div><h3>Covered</h3>\n" +
                     list(Covered(*run.report, *run.result)) + "</div><div><h3>Not covered</h3>\n" +
                     list(NotCovered(*run.report, *run.result)) + "</div></div>\n");
}

std::string KindsTable(const VerifyResult& r) {
  std::vector<HtmlRow> rows;
  for (const auto& [kind, count] : r.damage)
    if (count > 0)
      rows.push_back({"<span class=\"nobreak\">" + DamageSwatch(kind) + "</span>",
                      StyleOf(kind).meaning, Grouped(count)});
  return HtmlTable("By kind. The letters stand for the kinds in the maps below.",
                   {"Kind", "Meaning", "Pages and files"}, rows, {2});
}

std::string Where(bool in_backup) { return in_backup ? "base backup" : "cluster"; }

std::string RelationsTable(const VerifyResult& r) {
  std::vector<HtmlRow> rows;
  const auto relations = DamageByRelation(r);
  const size_t shown = std::min(relations.size(), kShownFindings);
  rows.reserve(shown);
  for (size_t i = 0; i < shown; i++) {
    const DamagedRelation& relation = relations[i];
    std::string kinds;
    for (const auto& [kind, count] : relation.kinds)
      kinds += fmt::format("{}<span class=\"nobreak\">{} {}</span>", kinds.empty() ? "" : ", ",
                           Grouped(count), HtmlText(kind));
    std::string files;
    for (const std::string& file : relation.files)
      files += (files.empty() ? "" : "<br>") + HtmlCode(file);
    const std::string subject = relation.subject.empty() ? "" : "<br>" + HtmlText(relation.subject);
    rows.push_back({(relation.is_relation
                         ? "<span class=\"nobreak\">relation " + HtmlCode(relation.name) + "</span>"
                         : "file " + HtmlCode(relation.name)) +
                        subject,
                    Where(relation.in_backup), files, kinds, Grouped(relation.damaged())});
  }
  return HtmlTable("By relation (tablespace/database/file node) or other file.",
                   {"Relation", "In the", "Files", "Damage", "Pages and files"}, rows, {4}) +
         More(relations.size() - shown, "more relation or file is", "more relations and files are");
}

std::string RangesText(const DamagedFile& file) {
  std::string out;
  for (const std::string& kind : file.whole)
    out += (out.empty() ? "the whole file: " : ", ") + HtmlText(kind);
  for (const DamagedRange& range : file.ranges)
    out += fmt::format("{}<span class=\"nobreak\">{}: {}</span>", out.empty() ? "" : "; ",
                       BlocksText(range.first, range.last), HtmlText(range.kind));
  return out;
}

std::string Legend(const VerifyResult& r) {
  std::string out;
  for (const auto& [kind, count] : r.damage)
    if (count > 0) out += "<span class=\"nobreak\">" + DamageSwatch(kind) + "</span> ";
  return Paragraph(out +
                       "<span class=\"nobreak\"><span class=\"swatch undamaged\">&nbsp;</span> no "
                       "damage found</span>",
                   "legend");
}

std::string Maps(const VerifyResult& r, const ReportFacts& facts) {
  std::string out = Legend(r);
  const auto files = DamageByFile(r, facts);
  const size_t shown = std::min(files.size(), kShownFiles);
  for (size_t i = 0; i < shown; i++) {
    const DamagedFile& file = files[i];
    out += fmt::format("<h3>{} <span class=\"soft\">in the {}{}</span></h3>\n", HtmlCode(file.file),
                       Where(file.in_backup),
                       file.blocks ? ", " + Plural(*file.blocks, "block", "blocks") : "");
    out += DamageMap(file) + Paragraph(RangesText(file));
  }
  out += More(files.size() - shown, "more damaged file is", "more damaged files are");
  return Section("Damaged files", out);
}

std::string FindingsTable(const VerifyResult& r) {
  std::vector<HtmlRow> rows;
  const size_t shown = std::min(r.mismatches.size(), kShownFindings);
  rows.reserve(shown);
  for (size_t i = 0; i < shown; i++) {
    const Mismatch& m = r.mismatches[i];
    std::string problem = HtmlText(m.problem);
    if (m.offset) problem += fmt::format("; first different byte: {}", *m.offset);
    if (!m.last_record.empty())
      problem += "<div class=\"record\">Last record: " + HtmlCode(m.last_record) + "</div>";
    rows.push_back({HtmlText(Place(m)), m.in_backup ? "" : LsnCode(m.lsn), problem});
  }
  return HtmlTable("", {"Place", "LSN", "What is wrong, and the last record of the page"}, rows) +
         More(r.mismatches.size() - shown, "more finding is", "more findings are");
}

std::string DamageSections(const ReportedRun& run, const ReportFacts& facts) {
  const VerifyResult& r = *run.result;
  if (r.different == 0) return Section("Damage", Paragraph("None was found."));
  std::string more;
  if (r.not_listed > 0)
    more =
        Paragraph(fmt::format("{} more damaged pages and files are counted by kind, but the tables "
                              "and maps do not have them.",
                              Grouped(r.not_listed)));
  return Section("Damage", KindsTable(r) + more + RelationsTable(r)) + Maps(r, facts) +
         Section("Findings and last records", FindingsTable(r));
}

std::string WalSection(const VerifyResult& r) {
  std::string directories, notes, others;
  for (const std::string& directory : r.wal_directories)
    directories += (directories.empty() ? "" : "<br>") + HtmlCode(directory);
  for (const std::string& note : r.wal_notes)
    notes += (notes.empty() ? "" : "<br>") + HtmlText(note);
  for (const auto& [timeline, start] : r.other_timelines)
    others += fmt::format("{}{}{}", others.empty() ? "" : "<br>", timeline,
                          start.valid() ? " from " + LsnCode(start) + " on" : "");
  return Section(
      "WAL",
      Pairs({{"From", LsnCode(r.start)},
             {"To", LsnCode(r.end)},
             {"Timeline", r.timeline > 0 ? std::to_string(r.timeline) : ""},
             {"Why it ends there", HtmlText(r.end_reason)},
             {"Last transaction ended",
              r.last_transaction ? HtmlText(TimestampText(*r.last_transaction)) : ""},
             {"Records", Grouped(r.records)},
             {"Bytes", Grouped(r.wal_bytes)},
             {"Read from", directories},
             {"Restore command", r.restore_command.empty() ? "" : HtmlCode(r.restore_command)},
             {"Notes on the files", notes},
             {"Timelines not read", others}}));
}

std::string BackupSection(const BackupCounts& b) {
  if (!b.was_read) return "";
  return Section(
      "Reading of the backup",
      Pairs({{"Files", Grouped(b.files)},
             {"Files read", Grouped(b.files_read)},
             {"Bytes read", Grouped(b.bytes_read)},
             {"Pages read", Grouped(b.pages)},
             {"Manifest",
              b.has_manifest
                  ? fmt::format("{} have the checksum in it",
                                Plural(b.files_by_checksum, "file", "files"))
                  : "missing or damaged: a file that was cut at the end of a block, filled "
                    "with zeroes, or replaced by an older one, may not be noticed"},
             {"Checksums of pages",
              b.has_checksums ? "checked"
                              : "the cluster has none: only the headers of pages were checked"},
             {"Pages copied while written",
              b.pages_made_good > 0 ? Grouped(b.pages_made_good) + "; WAL rebuilds them" : ""}}));
}

std::string LedgerSection(const VerifyReport& report, const VerifyResult& r) {
  if (report.ledger.empty()) return "";
  std::vector<std::string> sentences = {"The ledger is " + HtmlCode(report.ledger) + "."};
  for (const std::string& sentence : LedgerSentences(r.ledger, std::time(nullptr)))
    sentences.push_back(HtmlText(sentence));
  return Section("What earlier runs have proven", HtmlList(sentences));
}

std::string CountsSection(const char* heading, const char* what,
                          const std::map<std::string, uint64_t>& counts) {
  if (counts.empty()) return "";
  std::vector<HtmlRow> rows;
  rows.reserve(counts.size());
  for (const auto& [name, count] : counts) rows.push_back({HtmlText(name), Grouped(count)});
  return Section(heading, HtmlTable("", {what, "Count"}, rows, {1}));
}

std::string NotesSection(const VerifyResult& r) {
  if (r.notes.empty()) return "";
  std::vector<HtmlRow> rows;
  const size_t shown = std::min(r.notes.size(), kShownFindings);
  rows.reserve(shown);
  for (size_t i = 0; i < shown; i++)
    rows.push_back({HtmlText(Place(r.notes[i])), HtmlText(r.notes[i].problem)});
  std::string out = HtmlTable("", {"Place", "Note"}, rows);
  if (const uint64_t more = r.notes.size() - shown + r.notes_not_listed; more > 0)
    out += Paragraph(fmt::format("And {} more.", Grouped(more)));
  return Section("Notes, which are no damage", out);
}

std::string SignatureText(const ReportFacts& facts, const std::string& file) {
  if (!facts.signature)
    return "This report is not signed: anybody who can write the file can change it.";
  const std::string name = SplitPath(file).name;
  return fmt::format(
      "{} by the key whose public part has the SHA-256 {} in DER form. The signature is in {}. To verify "
      "it:<pre>{}</pre>",
      HtmlText(facts.signature->algorithm), HtmlCode(facts.signature->key_sha256),
      HtmlCode(name + ".sig"),
      HtmlText(fmt::format(
          "openssl pkeyutl -verify -rawin -pubin -inkey public.pem -in {0} -sigfile {0}.sig",
          ShellWord(name))));
}

std::string RunSection(const ReportedRun& run, const ReportFacts& facts, const std::string& file) {
  std::string command;
  for (const std::string& word : facts.command_line)
    command += (command.empty() ? "" : " ") + ShellWord(word);
  std::vector<std::pair<std::string, std::string>> rows = {
      {"Command", "<pre>" + HtmlText(command) + "</pre>"},
      {"Working directory", HtmlCode(facts.working_directory)}};
  for (const auto& [name, value] : facts.options)
    rows.emplace_back(HtmlText("--" + name), HtmlCode(value));
  rows.emplace_back("Exit status", fmt::format("{} ({})", run.status(), run.verdict()));
  rows.emplace_back("System", HtmlText(facts.system));
  if (run.result != nullptr)
    rows.emplace_back(
        "Time", fmt::format("{:.1f} s with {}", run.result->elapsed_seconds,
                            Plural(static_cast<uint64_t>(run.report->jobs), "thread", "threads")));
  rows.emplace_back("Signature", SignatureText(facts, file));
  return Section("How it was verified", Pairs(rows));
}

// The page may not load or run anything, whatever is in it.
constexpr const char* kHead =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"generator\" content=\"neon-redo\">\n";

}  // namespace

std::string ReportHtml(const ReportedRun& run, const ReportFacts& facts, const std::string& file) {
  std::string out = kHead;
  out += fmt::format("<title>{}: {} ({})</title>\n", run.verdict(),
                     HtmlText(facts.backup ? facts.backup->given : "WAL"), facts.ended);
  out += fmt::format("<style>{}</style>\n</head>\n<body>\n<main>\n", kReportStyle);
  out += Header(run, facts) + Identities(run, facts);
  if (run.result != nullptr) {
    const VerifyResult& r = *run.result;
    out += Coverage(run) + DamageSections(run, facts) + WalSection(r) + BackupSection(r.backup);
    out += LedgerSection(*run.report, r);
    out += CountsSection("What was compared", "Kind", r.compared);
    out += CountsSection("What was skipped, and why", "Reason", r.skipped);
    out += NotesSection(r);
  }
  out += RunSection(run, facts, file);
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace neon_redo::cli

#include "cli/report_json.h"

#include <nlohmann/json.hpp>

#include "cli/foreign_text.h"
#include "cli/report_damage.h"
#include "cli/verify_coverage.h"
#include "neon_redo/version.h"

namespace neon_redo::cli {

namespace {

using ReportObject = nlohmann::ordered_json;

ReportObject TextOrNull(const std::string& text) {
  return text.empty() ? ReportObject(nullptr) : ReportObject(text);
}

ReportObject LsnOrNull(Lsn lsn) {
  return lsn.valid() ? ReportObject(lsn.ToString()) : ReportObject(nullptr);
}

ReportObject ControlJson(const ControlData& control) {
  // The identifier has 64 bits, which many readers of JSON do not keep.
  return {{"system_identifier", std::to_string(control.system_identifier)},
          {"postgresql", MajorVersion(*control.version)},
          {"state", control.state},
          {"timeline", control.timeline},
          {"checkpoint_lsn", LsnOrNull(control.checkpoint)},
          {"data_checksums", control.checksums}};
}

ReportObject LabelJson(const BackupLabel& label) {
  return {{"label", TextOrNull(label.label)},
          {"start_time", TextOrNull(label.start_time)},
          {"start_lsn", LsnOrNull(label.start)},
          {"timeline", label.timeline},
          {"from_standby", label.from_standby}};
}

ReportObject IdentityJson(const std::optional<DirectoryIdentity>& directory) {
  if (!directory) return nullptr;
  return {
      {"given", directory->given},
      {"path", directory->path},
      {"control", directory->control ? ControlJson(*directory->control) : ReportObject(nullptr)},
      {"backup_label", directory->label ? LabelJson(*directory->label) : ReportObject(nullptr)},
      {"problem", TextOrNull(directory->problem)}};
}

ReportObject SignatureJson(const std::optional<ReportSignature>& signature) {
  if (!signature) return nullptr;
  return {{"algorithm", signature->algorithm}, {"public_key_sha256", signature->key_sha256}};
}

ReportObject RelationsJson(const VerifyResult& result) {
  auto out = ReportObject::array();
  for (const DamagedRelation& relation : DamageByRelation(result))
    out.push_back({{"name", relation.name},
                   {"subject", TextOrNull(relation.subject)},
                   {"is_relation", relation.is_relation},
                   {"in_backup", relation.in_backup},
                   {"files", relation.files},
                   {"damaged", relation.damaged()},
                   {"damage", relation.kinds}});
  return out;
}

ReportObject FilesJson(const VerifyResult& result, const ReportFacts& facts) {
  auto out = ReportObject::array();
  for (const DamagedFile& file : DamageByFile(result, facts)) {
    auto ranges = ReportObject::array();
    for (const DamagedRange& range : file.ranges)
      ranges.push_back({{"first", range.first}, {"last", range.last}, {"damage", range.kind}});
    out.push_back({{"file", file.file},
                   {"relation", TextOrNull(file.relation)},
                   {"fork", TextOrNull(file.fork)},
                   {"in_backup", file.in_backup},
                   {"first_block", file.first_block},
                   {"blocks", file.blocks ? ReportObject(*file.blocks) : ReportObject(nullptr)},
                   {"whole_file", file.whole},
                   {"ranges", std::move(ranges)}});
  }
  return out;
}

ReportObject HeadJson(const ReportedRun& run, const ReportFacts& facts) {
  auto options = ReportObject::object();
  for (const auto& [name, value] : facts.options) {
    // One that may be given several times is an array as soon as it is.
    if (!options.contains(name))
      options[name] = value;
    else if (options[name].is_array())
      options[name].push_back(value);
    else
      options[name] = {options[name], value};
  }
  return {{"format", "neon-redo verification report"},
          {"format_version", 1},
          {"status", run.status()},
          {"verdict", run.verdict()},
          {"summary", run.summary()},
          {"started", facts.started},
          {"ended", facts.ended},
          {"host", facts.host},
          {"system", facts.system},
          {"user", facts.user},
          {"program", {{"name", "neon-redo"}, {"version", LibraryVersion()}}},
          {"command_line", facts.command_line},
          {"working_directory", facts.working_directory},
          {"options", std::move(options)},
          {"signature", SignatureJson(facts.signature)},
          {"identity",
           {{"backup", IdentityJson(facts.backup)}, {"cluster", IdentityJson(facts.cluster)}}}};
}

}  // namespace

std::string ReportJson(const ReportedRun& run, const ReportFacts& facts) {
  ReportObject json = HeadJson(run, facts);
  if (run.failure != nullptr) {
    json["error"] = run.failure->message;
    json["hint"] = TextOrNull(run.failure->hint);
    return JsonText(json, 2) + "\n";
  }
  const VerifyResult& result = *run.result;
  json["backup_end_lsn"] = LsnOrNull(result.backup_end);
  json["covered"] = Covered(*run.report, result);
  json["not_covered"] = NotCovered(*run.report, result);
  json["damage_by_relation"] = RelationsJson(result);
  json["damaged_files"] = FilesJson(result, facts);
  json.update(VerifyJson(*run.report, result));
  std::string text;
  WriteVerifyJson(json, result, [&text](const std::string& piece) { text += piece; });
  return text;
}

}  // namespace neon_redo::cli

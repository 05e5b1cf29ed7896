#include "cli/page_print.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <variant>
#include <vector>

#include "cli/foreign_text.h"
#include "cli/page_changes.h"
#include "cpp_core/page_words/page_diff.h"
#include "cpp_core/page_words/page_text.h"
#include "cpp_core/page_words/page_words.h"
#include "cpp_core/pg/page.h"

namespace neon_redo::cli {

namespace {

using Json = nlohmann::ordered_json;

struct ValueJson {
  Json operator()(const FlagWords& flags) const {
    return {{"value", flags.value}, {"flags", flags.names}};
  }
  Json operator()(const HexBytes& hex) const { return HexText(hex.bytes); }
  template <typename T>
  Json operator()(const T& value) const {
    return value;
  }
};

Json FieldsJson(const std::vector<PageField>& fields) {
  Json out = Json::object();
  for (const PageField& field : fields) out[field.name] = std::visit(ValueJson{}, field.value);
  return out;
}

Json PartJson(const PagePart& part, bool with_places) {
  Json out = {{"part", part.kind}};
  if (part.number) out["number"] = *part.number;
  out["fields"] = FieldsJson(part.fields);
  if (!part.note.empty()) out["note"] = part.note;
  if (!with_places) return out;
  Json& places = out["bytes"] = Json::object();
  for (const PageField& field : part.fields)
    if (field.length > 0) places[field.name] = {field.offset, field.length};
  return out;
}

// Null: this state has no such part.
Json SideJson(bool is_there, const std::vector<PageField>& fields, const std::string& note) {
  if (!is_there) return {};
  Json out = FieldsJson(fields);
  if (!note.empty()) out["note"] = note;
  return out;
}

Json DiffJson(const PageDiff& diff) {
  Json parts = Json::array();
  for (const PartDifference& part : diff.parts)
    parts.push_back({{"part", part.name},
                     {"before", SideJson(part.is_in_before, part.before, part.note_before)},
                     {"after", SideJson(part.is_in_after, part.after, part.note_after)}});
  Json bytes = Json::array();
  for (const ByteDifference& range : diff.bytes)
    bytes.push_back({{"offset", range.offset},
                     {"length", range.before.size()},
                     {"in_free_space", range.in_free_space},
                     {"before", HexText(range.before)},
                     {"after", HexText(range.after)}});
  return {{"parts", parts}, {"bytes", bytes}};
}

std::string LsnName(Lsn lsn) { return lsn == kEndOfWal ? "end" : lsn.ToString(); }

Json StateJson(const PageState& state) {
  if (!state.page) return {{"lsn", LsnName(state.lsn)}, {"there", false}, {"why", state.absence}};
  return {
      {"lsn", LsnName(state.lsn)},          {"there", true},
      {"base", state.page->base},           {"changes", state.page->changes},
      {"by_worker", state.page->by_worker}, {"last_change", state.page->last_change.ToString()}};
}

void PrintHeader(const PageKey& key, const PageAt& at) {
  if (!key.ToBlock()) return;
  const PageView page(at.page.data());
  if (page.is_new()) {
    fmt::print("new page: all its header says is that it was never initialised\n");
    return;
  }
  fmt::print("pd_lsn:       {}\n", page.lsn().ToString());
  fmt::print("pd_checksum:  {:04X}\n", page.checksum());
  fmt::print("pd_flags:     {:04X}\n", page.flags());
  fmt::print("pd_lower:     {}\n", page.lower());
  fmt::print("pd_upper:     {}\n", page.upper());
  fmt::print("pd_special:   {}\n", page.special());
  fmt::print("page size:    {}, layout version {}\n", page.page_size(), page.layout_version());
  fmt::print("line pointers: {}\n", page.line_pointer_count());
}

void PrintText(const PageKey& key, Lsn lsn, const PageAt& at, const pg::Version& version,
               const PageStyle& style) {
  fmt::print("{} at {}\n", key.Describe(), MomentText(lsn));
  fmt::print("key:          {}\n", key.ToString());
  fmt::print("made from:    {}\n", at.base);
  fmt::print("changes:      {}{}\n", at.changes,
             at.by_worker ? fmt::format(", {} of them by a worker", at.by_worker) : "");
  if (at.last_change.valid()) fmt::print("last change:  {}\n", at.last_change.ToString());
  if (!style.tuples && !style.hex) return PrintHeader(key, at);
  const PageWords words = DescribePage(key, at.page.data(), version);
  fmt::print("page of:      {}\n", words.type);
  if (style.tuples) fmt::print("{}", PageText(words));
  if (style.hex) fmt::print("{}", HexDump(words, at.page.data()));
}

void PrintJson(const PageKey& key, Lsn lsn, const PageAt& at, const pg::Version& version,
               const PageStyle& style) {
  Json out = {{"page", key.Describe()},
              {"key", key.ToString()},
              {"lsn", LsnName(lsn)},
              {"base", at.base},
              {"changes", at.changes},
              {"by_worker", at.by_worker},
              {"last_change", at.last_change.ToString()}};
  if (key.ToBlock()) {
    const PageView page(at.page.data());
    out["header"] = {{"new", page.is_new()},        {"lsn", page.lsn().ToString()},
                     {"checksum", page.checksum()}, {"flags", page.flags()},
                     {"lower", page.lower()},       {"upper", page.upper()},
                     {"special", page.special()},   {"line_pointers", page.line_pointer_count()}};
  }
  if (style.tuples || style.hex) {
    const PageWords words = DescribePage(key, at.page.data(), version);
    out["type"] = words.type;
    Json& parts = out["parts"] = Json::array();
    for (const PagePart& part : words.parts) parts.push_back(PartJson(part, style.hex));
  }
  if (style.hex) out["hex"] = HexText(at.page);
  fmt::print("{}\n", JsonText(out));
}

std::string StateText(const PageState& state) {
  if (!state.page) return "not there";
  return fmt::format("{}, {} changes", state.page->base, state.page->changes);
}

}  // namespace

std::string MomentText(Lsn lsn) { return lsn == kEndOfWal ? "the end of WAL" : lsn.ToString(); }

void PrintPage(const PageKey& key, Lsn lsn, const PageAt& at, const pg::Version& version,
               const PageStyle& style) {
  style.json ? PrintJson(key, lsn, at, version, style) : PrintText(key, lsn, at, version, style);
}

void PrintPageDiff(const PageKey& key, const PageState& before, const PageState& after,
                   const pg::Version& version, bool json) {
  const std::vector<uint8_t> zeroes(kBlockSize);
  const auto bytes = [&](const PageState& state) {
    return (state.page ? state.page->page : zeroes).data();
  };
  const PageDiff diff = ComparePages(key, bytes(before), bytes(after), version);
  if (json) {
    Json out = {{"page", key.Describe()}, {"key", key.ToString()}};
    out["before"] = StateJson(before);
    out["after"] = StateJson(after);
    out.update(DiffJson(diff));
    fmt::print("{}\n", JsonText(out));
    return;
  }
  fmt::print("--- {} at {}: {}\n", key.Describe(), MomentText(before.lsn), StateText(before));
  fmt::print("+++ {} at {}: {}\n", key.Describe(), MomentText(after.lsn), StateText(after));
  fmt::print("{}", diff.empty() ? "No byte differs.\n" : DiffText(diff));
}

}  // namespace neon_redo::cli

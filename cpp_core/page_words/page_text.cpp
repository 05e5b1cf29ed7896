#include "cpp_core/page_words/page_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace neon_redo {

namespace {

constexpr size_t kShownBytes = 32;  // of data, on one line
constexpr size_t kShownWords = 32;  // of a list
constexpr uint32_t kBytesOfLine = 16;

struct ValueText {
  std::string operator()(int64_t n) const { return fmt::format("{}", n); }
  std::string operator()(bool b) const { return b ? "t" : "f"; }
  std::string operator()(const std::string& text) const { return text; }
  std::string operator()(const std::vector<std::string>& words) const {
    const size_t shown = std::min(words.size(), kShownWords);
    std::string out = fmt::format(
        "{}", fmt::join(words.begin(), words.begin() + static_cast<ptrdiff_t>(shown), " "));
    if (shown < words.size()) out += fmt::format(" … ({} more)", words.size() - shown);
    return out.empty() ? "none" : out;
  }
  std::string operator()(const FlagWords& flags) const {
    std::string out = fmt::format("0x{:04X}", flags.value);
    if (!flags.names.empty()) out += fmt::format(" ({})", fmt::join(flags.names, " "));
    return out;
  }
  std::string operator()(const HexBytes& hex) const { return HexText(hex.bytes, kShownBytes); }
};

std::string FieldsText(const std::vector<PageField>& fields, const std::string& note) {
  std::string out;
  for (const PageField& field : fields) out += (out.empty() ? "" : ", ") + FieldText(field);
  if (!note.empty()) out += (out.empty() ? "" : "; ") + note;
  return out;
}

// "heap blocks 3-7": of one part, or of neighbours that say the same.
std::string NameOfRun(const PagePart& first, uint32_t last) {
  if (last == first.number.value_or(last)) return first.Name();
  return fmt::format("{}s {}-{}", first.kind, *first.number, last);
}

// What both have up to the first difference is left out, so that it is seen.
void Shorten(std::vector<PageField>* before, std::vector<PageField>* after) {
  for (PageField& old : *before) {
    const auto now = std::find_if(after->begin(), after->end(),
                                  [&](const PageField& field) { return field.name == old.name; });
    if (now == after->end()) continue;
    if (auto* a = std::get_if<HexBytes>(&old.value), *b = std::get_if<HexBytes>(&now->value);
        a && b) {
      const auto [at, other] =
          std::mismatch(a->bytes.begin(), a->bytes.end(), b->bytes.begin(), b->bytes.end());
      const auto equal = at - a->bytes.begin();
      if (static_cast<size_t>(equal) < kShownBytes / 2) continue;
      old.name = now->name = fmt::format("{} from byte {} on", old.name, equal);
      a->bytes.erase(a->bytes.begin(), a->bytes.begin() + equal);
      b->bytes.erase(b->bytes.begin(), b->bytes.begin() + equal);
    }
    if (auto* a = std::get_if<std::vector<std::string>>(&old.value),
        *b = std::get_if<std::vector<std::string>>(&now->value);
        a && b) {
      const auto [at, other] = std::mismatch(a->begin(), a->end(), b->begin(), b->end());
      const auto equal = at - a->begin();
      if (static_cast<size_t>(equal) < kShownWords / 2) continue;
      old.name = now->name = fmt::format("{} from number {} on", old.name, equal + 1);
      a->erase(a->begin(), a->begin() + equal);
      b->erase(b->begin(), b->begin() + equal);
    }
  }
}

// Where fields begin, with their names and values, and where they end.
std::map<uint32_t, std::string> Labels(const PageWords& words) {
  std::map<uint32_t, std::string> out;
  for (const PagePart& part : words.parts) {
    std::set<uint32_t> named;  // where the part's name stands already
    for (const PageField& field : part.fields) {
      if (field.length == 0) continue;
      out.try_emplace(field.offset + field.length);
      std::string& label = out[field.offset];
      if (!label.empty()) label += ", ";
      if (named.empty()) label += part.Name() + ": ";
      named.insert(field.offset);
      const bool is_data = std::holds_alternative<HexBytes>(field.value);
      label += is_data ? field.name : FieldText(field);
    }
  }
  return out;
}

bool AreEqual(const uint8_t* page, uint32_t from, uint32_t to) {
  return std::all_of(page + from, page + to, [&](uint8_t byte) { return byte == page[from]; });
}

std::string HexLine(const uint8_t* page, uint32_t from, uint32_t to, const std::string& label) {
  std::string line = fmt::format("{:04x} ", from);
  for (uint32_t i = from; i < to; i++) line += fmt::format(" {:02x}", page[i]);
  if (label.empty()) return line + "\n";
  return fmt::format("{:<{}}  {}\n", line, 5 + 3 * kBytesOfLine, label);
}

}  // namespace

std::string HexText(Bytes bytes, size_t limit) {
  std::string out = "\\x";
  for (const uint8_t byte : bytes.first(std::min(limit, bytes.size())))
    fmt::format_to(std::back_inserter(out), "{:02x}", byte);
  if (bytes.size() > limit) out += fmt::format("… ({} more bytes)", bytes.size() - limit);
  return out;
}

std::string FieldText(const PageField& field) {
  return fmt::format("{} {}", field.name, std::visit(ValueText{}, field.value));
}

std::string RunsText(const std::vector<uint32_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size(); i++) {
    const size_t first = i;
    while (i + 1 < numbers.size() && numbers[i + 1] == numbers[i] + 1) i++;
    if (!out.empty()) out += ", ";
    out += fmt::format("{}", numbers[first]);
    if (i > first) out += fmt::format("-{}", numbers[i]);
  }
  return out;
}

std::string PageText(const PageWords& words) {
  std::string out;
  const auto& parts = words.parts;
  for (size_t i = 0; i < parts.size(); i++) {
    const std::string text = FieldsText(parts[i].fields, parts[i].note);
    const size_t first = i;
    while (parts[first].merges && i + 1 < parts.size() && parts[i + 1].kind == parts[first].kind &&
           parts[i + 1].number == *parts[i].number + 1 &&
           FieldsText(parts[i + 1].fields, parts[i + 1].note) == text)
      i++;
    out += fmt::format("{}: {}\n", NameOfRun(parts[first], parts[i].number.value_or(0)), text);
  }
  return out;
}

std::string DiffText(const PageDiff& diff) {
  std::string out;
  std::vector<uint32_t> moved;
  for (PartDifference part : diff.parts) {
    if (part.moved) {
      moved.push_back(*part.moved);
      continue;
    }
    Shorten(&part.before, &part.after);
    if (part.is_in_before && !(part.before.empty() && part.is_in_after && part.note_before.empty()))
      out += fmt::format("- {}: {}\n", part.name, FieldsText(part.before, part.note_before));
    if (part.is_in_after && !(part.after.empty() && part.is_in_before && part.note_after.empty()))
      out += fmt::format("+ {}: {}\n", part.name, FieldsText(part.after, part.note_after));
  }
  if (!moved.empty()) out += fmt::format("  moved on the page: tuples {}\n", RunsText(moved));
  for (const ByteDifference& range : diff.bytes) {
    const std::string name =
        fmt::format("bytes {}-{}{}", range.offset, range.offset + range.before.size() - 1,
                    range.in_free_space ? " in the free space" : "");
    out += fmt::format("- {}: {}\n", name, HexText(range.before, kShownBytes));
    out += fmt::format("+ {}: {}\n", name, HexText(range.after, kShownBytes));
  }
  return out;
}

std::string HexDump(const PageWords& words, const uint8_t* page) {
  const auto labels = Labels(words);
  std::string out;
  for (uint32_t at = 0; at < kBlockSize;) {
    const auto next = labels.upper_bound(at);
    const auto label = labels.find(at);
    const std::string text = label == labels.end() ? "" : label->second;
    uint32_t end = static_cast<uint32_t>(kBlockSize);
    if (next != labels.end()) end = next->first;
    // Many bytes of one value without a name of their own, as of free space.
    if (end - at > 2 * kBytesOfLine && text.empty() && AreEqual(page, at, end)) {
      out += HexLine(page, at, at + kBytesOfLine, "");
      out += fmt::format("…     {} bytes of {:02x}\n", end - at - kBytesOfLine, page[at]);
      at = end;
      continue;
    }
    const uint32_t stop = std::min(end, at + kBytesOfLine);
    out += HexLine(page, at, stop, text);
    at = stop;
  }
  return out;
}

}  // namespace neon_redo

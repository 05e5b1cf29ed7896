#include "cpp_core/backup/barman_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

// Reads what Python's repr writes of a list of (string, number, string). A function returns nothing
// where something else stands.
class PythonReader {
 public:
  explicit PythonReader(std::string_view text) : text_(text) {}

  bool Take(char wanted) {
    while (!text_.empty() && text_[0] == ' ') text_.remove_prefix(1);
    if (text_.empty() || text_[0] != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }

  std::optional<std::string> String() {
    const char quote = Take('\'') ? '\'' : Take('"') ? '"' : '\0';
    if (quote == '\0') return std::nullopt;
    std::string out;
    while (!text_.empty()) {
      const char c = text_[0];
      text_.remove_prefix(1);
      if (c == quote) return out;
      if (c != '\\') {
        out += c;
      } else if (const auto escaped = Escape()) {
        out += *escaped;
      } else {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  std::optional<uint32_t> Oid() {
    while (!text_.empty() && text_[0] == ' ') text_.remove_prefix(1);
    const size_t end = std::min(text_.find_first_not_of("0123456789"), text_.size());
    const auto oid = pg::ParseOid(text_.substr(0, end));
    text_.remove_prefix(end);
    return oid;
  }

  bool AtEnd() const { return text_.empty(); }

 private:
  // What stands behind a backslash.
  std::optional<char> Escape() {
    if (text_.empty()) return std::nullopt;
    const char c = text_[0];
    text_.remove_prefix(1);
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    if (c == 'r') return '\r';
    if (c != 'x') return c;
    unsigned value = 0;
    const std::string_view digits = text_.substr(0, 2);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, 16);
    if (error != std::errc() || end != digits.end() || digits.size() != 2) return std::nullopt;
    text_.remove_prefix(2);
    return static_cast<char>(value);
  }

  std::string_view text_;
};

// False: it is no such list.
bool ParseTablespaces(std::string_view text, std::map<uint32_t, std::string>* out) {
  if (text == "None") return true;
  PythonReader in(text);
  if (!in.Take('[')) return false;
  while (!in.Take(']')) {
    if (!out->empty() && !in.Take(',')) return false;
    if (!in.Take('(')) return false;
    if (!in.String() || !in.Take(',')) return false;  // its name
    const auto oid = in.Oid();
    if (!oid || !in.Take(',')) return false;
    auto target = in.String();
    if (!target || !in.Take(')')) return false;
    if (!out->insert({*oid, std::move(*target)}).second) return false;
  }
  return in.AtEnd();
}

}  // namespace

Result<BarmanInfo> ParseBarmanInfo(std::string_view text, const std::string& where) {
  BarmanInfo out;
  const auto corrupt = [&](size_t at, const char* why) {
    return MakeError(ErrorCode::kCorrupt, fmt::format("{} at byte {}: {}", where, at, why));
  };
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.empty() || line[0] == '#') continue;
    const size_t equals = line.find('=');
    if (equals == line.npos) return corrupt(at, "a line without an equals sign");
    const std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
    if (key == "status") {
      out.status = value;
    } else if (key == "parent_backup_id") {
      out.parent_id = value == "None" ? "" : value;
    } else if (key == "tablespaces" && !ParseTablespaces(value, &out.tablespaces)) {
      return corrupt(at, "this is no list of tablespaces");
    }
  }
  return out;
}

}  // namespace neon_redo

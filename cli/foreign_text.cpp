#include "cli/foreign_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "neon_redo/describe.h"

namespace neon_redo::cli {

std::string PrintableLines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out += Printable(text.substr(0, end));
    if (end < text.size()) out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string ShellWord(const std::string& text) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

// The library replaces what is not UTF-8, so that the byte 0xc2 always begins a character.
std::string JsonText(const nlohmann::ordered_json& value, int indent) {
  std::string json =
      value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  const auto is_control = [&json](size_t i) {
    const auto c = static_cast<unsigned char>(json[i]);
    const auto next = static_cast<unsigned char>(i + 1 < json.size() ? json[i + 1] : 0);
    return c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
  };
  std::string out;
  size_t clean = 0;
  for (size_t i = 0; i < json.size(); i++) {
    if (!is_control(i)) continue;
    out.append(json, clean, i - clean);
    if (json[i] != '\x7f') i++;
    out += fmt::format("\\u{:04x}", static_cast<unsigned char>(json[i]));
    clean = i + 1;
  }
  if (clean == 0) return json;
  return out.append(json, clean);
}

}  // namespace neon_redo::cli

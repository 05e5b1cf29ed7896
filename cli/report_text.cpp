#include "cli/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/foreign_text.h"

namespace neon_redo::cli {

namespace {

// As JSON has it, what is not UTF-8 is replaced.
std::string ToUtf8(std::string_view text) {
  return nlohmann::ordered_json::parse(JsonText(std::string(text))).get<std::string>();
}

// Of a character of three bytes: U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, and U+FEFF.
bool IsHidden(uint32_t c) {
  return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

const char* Entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return nullptr;
  }
}

}  // namespace

std::string HtmlText(std::string_view text) {
  const std::string in = ToUtf8(PrintableLines(text));
  const auto byte = [&in](size_t i) { return static_cast<unsigned char>(in[i]); };
  std::string out;
  for (size_t i = 0; i < in.size(); i++) {
    if (byte(i) >> 4 == 0xe && i + 2 < in.size()) {
      const uint32_t c = (byte(i) & 15u) << 12 | (byte(i + 1) & 63u) << 6 | (byte(i + 2) & 63u);
      out += IsHidden(c) ? fmt::format("\\u{:04x}", c) : in.substr(i, 3);
      i += 2;
    } else if (const char* entity = Entity(in[i])) {
      out += entity;
    } else {
      out += in[i];
    }
  }
  return out;
}

std::string HtmlCode(std::string_view text) { return "<code>" + HtmlText(text) + "</code>"; }

std::string HtmlTable(const std::string& caption, const HtmlRow& headings,
                      const std::vector<HtmlRow>& rows, const std::vector<size_t>& numbers) {
  const auto number = [&](size_t column) {
    return std::find(numbers.begin(), numbers.end(), column) != numbers.end() ? " class=\"number\""
                                                                              : "";
  };
  std::string out = "<div class=\"table\"><table>";
  if (!caption.empty()) out += "<caption>" + caption + "</caption>";
  out += "<thead><tr>";
  for (size_t i = 0; i < headings.size(); i++)
    out += fmt::format("<th scope=\"col\"{}>{}</th>", number(i), headings[i]);
  out += "</tr></thead><tbody>\n";
  for (const HtmlRow& row : rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); i++)
      out += i == 0 ? fmt::format("<th scope=\"row\"{}>{}</th>", number(i), row[i])
                    : fmt::format("<td{}>{}</td>", number(i), row[i]);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string HtmlList(const std::vector<std::string>& items) {
  std::string out = "<ul>";
  for (const std::string& item : items) out += "<li>" + item + "</li>";
  return out + "</ul>\n";
}

}  // namespace neon_redo::cli

// Pieces of a page in HTML.
#ifndef NEON_REDO_CLI_REPORT_TEXT_H_
#define NEON_REDO_CLI_REPORT_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

namespace neon_redo::cli {

// The text for an element or for an attribute in double quotes. Names and paths may hold any byte: control
// characters, and those that turn the direction of writing or cannot be seen, become \x0a or \u202e, and
// what is not UTF-8 becomes U+FFFD.
std::string HtmlText(std::string_view text);
// The same as code.
std::string HtmlCode(std::string_view text);

// Cells are HTML already.
using HtmlRow = std::vector<std::string>;
// Without a caption, if that is empty. The first cell of each row is its heading. numbers: the columns that
// have numbers, by index.
std::string HtmlTable(const std::string& caption, const HtmlRow& headings,
                      const std::vector<HtmlRow>& rows, const std::vector<size_t>& numbers = {});
std::string HtmlList(const std::vector<std::string>& items);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_TEXT_H_

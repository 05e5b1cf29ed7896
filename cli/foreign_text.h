// Text that a server, WAL or a file has brought, before it goes to standard output or error: it
// could command a terminal.
#ifndef NEON_REDO_CLI_FOREIGN_TEXT_H_
#define NEON_REDO_CLI_FOREIGN_TEXT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace neon_redo::cli {

// Printable (neon_redo/describe.h) for each line.
std::string PrintableLines(std::string_view text);

// The text as one word of a shell's command line, in quotes if it needs them.
std::string ShellWord(const std::string& text);

// The value as text on one line, or indented by so many spaces. Control characters in strings are
// escaped, DEL and C1 too, which the JSON library leaves as they are. Bytes that are not UTF-8
// become U+FFFD: a path may have them.
std::string JsonText(const nlohmann::ordered_json& json, int indent = -1);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_FOREIGN_TEXT_H_

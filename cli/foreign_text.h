// Text that a server, WAL or a file has brought, before it goes to standard output or error: it
// could command a terminal.
#ifndef NEON_REDO_CLI_FOREIGN_TEXT_H_
#define NEON_REDO_CLI_FOREIGN_TEXT_H_

#include <string>
#include <string_view>

namespace neon_redo::cli {

// Printable (neon_redo/describe.h) for each line.
std::string PrintableLines(std::string_view text);

// JSON as the JSON library writes it, which leaves DEL and the C1 control characters in strings as
// they are: here they are \u007f to \u009f.
std::string PrintableJson(std::string json);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_FOREIGN_TEXT_H_

// Files of a pgBackRest repository that say what is in it: archive.info, backup.info and
// backup.manifest of format 5
// (info/info.c). They have sections and lines of key=value, where a value is JSON.
#ifndef NEON_REDO_ARCHIVE_PGBACKREST_INFO_H_
#define NEON_REDO_ARCHIVE_PGBACKREST_INFO_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "neon_redo/error.h"

namespace neon_redo {

using InfoLine = std::function<Status(std::string_view section, std::string_view key,
                                      const nlohmann::json& value)>;

// Calls take for each line in order; an error of it ends the parse. `where` is for messages. kCorrupt: it
// is no such file, or its own checksum does not fit, which shows only at its end. kUnsupported: another
// format.
Status ParsePgBackRestInfo(std::string_view text, const std::string& where, const InfoLine& take);

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_PGBACKREST_INFO_H_

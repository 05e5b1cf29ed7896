// Values in postgresql.conf.
#ifndef NEON_REDO_PG_SETTING_H_
#define NEON_REDO_PG_SETTING_H_

#include <string>
#include <string_view>

namespace neon_redo::pg {

// In quotes, as guc-file.l reads it. A newline cannot be in it.
inline std::string QuotedSetting(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_SETTING_H_

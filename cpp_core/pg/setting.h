// Values in postgresql.conf.
#ifndef NEON_REDO_PG_SETTING_H_
#define NEON_REDO_PG_SETTING_H_

#include <string>
#include <string_view>

namespace neon_redo::pg {

// In quotes, as guc-file.l reads it (GUC_scanstr).
inline std::string QuotedSetting(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_SETTING_H_

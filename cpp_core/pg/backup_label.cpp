#include "cpp_core/pg/backup_label.h"

#include <cstdlib>
#include <sstream>
#include <string_view>

namespace neon_redo {

std::optional<BackupLabel> ParseBackupLabel(const std::string& text) {
  constexpr std::string_view kStart = "START WAL LOCATION: ";
  constexpr std::string_view kTimeline = "START TIMELINE: ";
  BackupLabel label{};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kStart)) {
      const auto lsn = line.substr(kStart.size(), line.find(' ', kStart.size()) - kStart.size());
      if (auto parsed = Lsn::Parse(lsn)) label.start = *parsed;
    } else if (line == "BACKUP FROM: standby") {
      label.from_standby = true;
    } else if (line.starts_with("INCREMENTAL FROM LSN: ")) {
      label.is_incremental = true;
    } else if (line.starts_with(kTimeline)) {
      label.timeline =
          static_cast<uint32_t>(std::strtoul(line.c_str() + kTimeline.size(), nullptr, 10));
    }
  }
  if (!label.start.valid() || label.timeline == 0) return std::nullopt;
  return label;
}

}  // namespace neon_redo

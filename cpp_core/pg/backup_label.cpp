#include "cpp_core/pg/backup_label.h"

#include <cstdlib>
#include <sstream>
#include <string_view>

#include "cpp_core/pg/paths.h"

namespace neon_redo {

std::optional<BackupLabel> ParseBackupLabel(const std::string& text) {
  constexpr std::string_view kStart = "START WAL LOCATION: ";
  constexpr std::string_view kTimeline = "START TIMELINE: ";
  constexpr std::string_view kFrom = "INCREMENTAL FROM LSN: ";
  constexpr std::string_view kFromTimeline = "INCREMENTAL FROM TLI: ";
  constexpr std::string_view kLabel = "LABEL: ";
  constexpr std::string_view kStartTime = "START TIME: ";
  const auto number = [](const std::string& line, std::string_view key) {
    return static_cast<uint32_t>(std::strtoul(line.c_str() + key.size(), nullptr, 10));
  };
  BackupLabel label{};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kStart)) {
      const auto lsn = line.substr(kStart.size(), line.find(' ', kStart.size()) - kStart.size());
      if (auto parsed = Lsn::Parse(lsn)) label.start = *parsed;
    } else if (line == "BACKUP FROM: standby") {
      label.from_standby = true;
    } else if (line.starts_with(kFrom)) {
      label.is_incremental = true;
      if (const auto parsed = Lsn::Parse(line.substr(kFrom.size()))) label.from = *parsed;
    } else if (line.starts_with(kFromTimeline)) {
      label.from_timeline = number(line, kFromTimeline);
    } else if (line.starts_with(kTimeline)) {
      label.timeline = number(line, kTimeline);
    } else if (line.starts_with(kLabel)) {
      label.label = line.substr(kLabel.size());
    } else if (line.starts_with(kStartTime)) {
      label.start_time = line.substr(kStartTime.size());
    }
  }
  if (!label.start.valid() || label.timeline == 0) return std::nullopt;
  return label;
}

// A line is an OID, a blank and a path, in which a backslash stands before a newline or a backslash.
std::map<uint32_t, std::string> ParseTablespaceMap(std::string_view text) {
  std::map<uint32_t, std::string> out;
  std::string line;
  const auto take_line = [&] {
    const size_t blank = line.find(' ');
    if (blank != line.npos)
      if (const auto oid = pg::ParseOid(std::string_view(line).substr(0, blank)))
        out[*oid] = line.substr(blank + 1);
    line.clear();
  };
  for (size_t at = 0; at < text.size(); at++) {
    if (text[at] == '\n' || text[at] == '\r') {
      take_line();
      continue;
    }
    if (text[at] == '\\' && at + 1 < text.size()) at++;
    line += text[at];
  }
  take_line();
  return out;
}

}  // namespace neon_redo

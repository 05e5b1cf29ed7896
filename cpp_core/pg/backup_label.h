// The files backup_label and tablespace_map of a base backup (do_pg_backup_start in
// access/transam/xlog.c).
#ifndef NEON_REDO_PG_BACKUP_LABEL_H_
#define NEON_REDO_PG_BACKUP_LABEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "neon_redo/lsn.h"

namespace neon_redo {

inline constexpr const char* kBackupLabelFile = "backup_label";
inline constexpr const char* kTablespaceMapFile = "tablespace_map";

struct BackupLabel {
  Lsn start;  // START WAL LOCATION: replay begins here
  uint32_t timeline;
  bool from_standby;    // then WAL has no record of the backup's end
  bool is_incremental;  // it has not all of the cluster (17 and later)
  // START WAL LOCATION and START TIMELINE of the backup that an incremental one builds upon.
  Lsn from;
  uint32_t from_timeline;
  // For people, as they stand there; empty: the line is missing.
  std::string label{};       // LABEL, what the program or user that took the backup called it
  std::string start_time{};  // START TIME
};

// Nothing: the text lacks START WAL LOCATION or START TIMELINE.
std::optional<BackupLabel> ParseBackupLabel(const std::string& text);

// tablespace_map: where tablespaces were, by OID (read_tablespace_map in
// access/transam/xlogrecovery.c). Lines that are none of such a file are left out.
std::map<uint32_t, std::string> ParseTablespaceMap(std::string_view text);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_BACKUP_LABEL_H_

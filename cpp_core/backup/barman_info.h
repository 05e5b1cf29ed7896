// backup.info of a Barman backup (barman/infofile.py): lines of key=value, some values as Python writes
// them.
#ifndef NEON_REDO_BACKUP_BARMAN_INFO_H_
#define NEON_REDO_BACKUP_BARMAN_INFO_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "neon_redo/error.h"

namespace neon_redo {

struct BarmanInfo {
  std::string status;     // "DONE", "WAITING_FOR_WALS", "FAILED", …
  std::string parent_id;  // of an incremental backup, from Barman 3.11 on; empty: none
  std::map<uint32_t, std::string> tablespaces;  // where they were, by OID
};

// `where` is for messages. kCorrupt: a line is none, or the list of tablespaces is not one.
Result<BarmanInfo> ParseBarmanInfo(std::string_view text, const std::string& where);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_BARMAN_INFO_H_

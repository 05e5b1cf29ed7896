// What verification reads of a data directory or a base backup: the control file, the backup label,
// pages of relations. Opens files for reading only.
#ifndef NEON_REDO_VERIFY_DATA_DIRECTORY_H_
#define NEON_REDO_VERIFY_DATA_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// From global/pg_control (catalog/pg_control.h).
struct ControlData {
  uint64_t system_identifier;
  bool shut_down;     // cleanly, by a server that was not in recovery
  std::string state;  // in the words of pg_controldata
  Lsn checkpoint;     // start of the last checkpoint record
  uint32_t timeline;
  bool checksums;
  bool track_commit_timestamp;
};

// kNotFound: not a data directory. kCorrupt: bad CRC. kUnsupported: another major version.
Result<ControlData> ReadControlData(const std::string& directory);

struct BackupLabel {
  Lsn start;  // START WAL LOCATION: replay begins here
  uint32_t timeline;
  bool from_standby;  // then WAL has no record of the backup's end
};

// kNotFound: not a base backup (any more). kCorrupt: the lines are not there.
Result<BackupLabel> ReadBackupLabel(const std::string& directory);

// Paths below a data directory: of the database's directory in a tablespace, "base/5", and of the
// file that has the block, "base/5/16384_vm.1" (GetRelationPath in common/relpath.c).
std::string DatabasePath(uint32_t spc, uint32_t db);
std::string RelationPath(const BlockTag& tag);

// What relation files there are: forks (block 0 stands for the fork) with their sizes in whole
// blocks, and databases by tablespace, the shared relations' as 1664 and 0. Temporary relations are
// left out.
struct RelationFileList {
  std::map<BlockTag, uint32_t> forks;
  std::set<std::pair<uint32_t, uint32_t>> databases;
};
Result<RelationFileList> ListRelationFiles(const std::string& directory);

// Pages of relation files below one data directory. Keeps some files open. Not thread-safe.
class RelationFiles {
 public:
  explicit RelationFiles(std::string directory) : directory_(std::move(directory)) {}
  ~RelationFiles() { CloseAll(); }
  RelationFiles(const RelationFiles&) = delete;
  RelationFiles& operator=(const RelationFiles&) = delete;

  enum class Found { kPage, kNoFile, kPastEnd };
  // Writes kBlockSize bytes to page when the block is there. A last block that is there in part is
  // past the end, as for the server.
  Result<Found> Read(const BlockTag& tag, uint8_t* page);

 private:
  Result<int> Open(const BlockTag& tag);
  void CloseAll();

  const std::string directory_;
  // By relation, fork and number of the 1 GB segment (as block); -1: there is no such file.
  std::map<BlockTag, int> open_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_DATA_DIRECTORY_H_

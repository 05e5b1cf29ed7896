// What verification reads of a data directory or a base backup: the control file, the backup label,
// pages of relations. Opens files for reading only.
#ifndef NEON_REDO_VERIFY_DATA_DIRECTORY_H_
#define NEON_REDO_VERIFY_DATA_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// From global/pg_control.
struct ControlData {
  const pg::Version* version = nullptr;  // not null once read
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

// kNotFound: not a base backup, or no longer one. kCorrupt: the lines are not there.
Result<BackupLabel> ReadBackupLabel(const std::string& directory);

// What relation files there are: forks (block 0 stands for the fork) with their sizes in whole
// blocks, and databases by tablespace, the shared relations' as 1664 and 0. Temporary relations are
// left out.
struct RelationFileList {
  std::map<BlockTag, uint32_t> forks;
  std::set<std::pair<uint32_t, uint32_t>> databases;
};
Result<RelationFileList> ListRelationFiles(const std::string& directory,
                                           const pg::Version& version);

// Pages of relation files below one data directory. Keeps some files open. Not thread-safe.
class RelationFiles {
 public:
  // version: of the cluster. Null only where no page is read.
  RelationFiles(std::string directory, const pg::Version* version)
      : directory_(std::move(directory)), version_(version) {}

  enum class Found { kPage, kNoFile, kPastEnd };
  // Writes kBlockSize bytes to page when the block is there. A last block that is there in part is
  // past the end, as for the server.
  Result<Found> Read(const BlockTag& tag, uint8_t* page);

 private:
  Result<int> Open(const BlockTag& tag);

  const std::string directory_;
  const pg::Version* const version_;
  // By relation, fork and number of the 1 GB segment (as block); none: there is no such file.
  std::map<BlockTag, FileDescriptor> open_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_DATA_DIRECTORY_H_

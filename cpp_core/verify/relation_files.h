// The relation files of a base backup or a data directory: which there are, and their pages.
#ifndef NEON_REDO_VERIFY_RELATION_FILES_H_
#define NEON_REDO_VERIFY_RELATION_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The files of one fork.
struct ForkFiles {
  uint32_t blocks = 0;  // whole ones, as the server counts: up to the first file that is not full
  // The files after that one, by their numbers, with their whole blocks. The server never looks at
  // them. It leaves them empty when it truncates the relation.
  std::vector<std::pair<uint32_t, uint32_t>> beyond{};
  // The first file that has more than kBlocksPerFile blocks, which no server reads (mdnblocks).
  std::optional<uint32_t> oversized{};
  bool operator==(const ForkFiles&) const = default;
};

// What relation files there are: forks (block 0 stands for the fork), and databases by tablespace,
// the shared relations' as 1664 and 0. Temporary relations are left out.
struct RelationFileList {
  std::map<BlockTag, ForkFiles> forks;
  std::set<std::pair<uint32_t, uint32_t>> databases;
  // What has a relation file's name and is none: a directory, a FIFO, a link that leads nowhere. By
  // the first block that the file would have. And the same of a database's directory.
  std::map<BlockTag, std::string> strange_files;
  std::map<std::pair<uint32_t, uint32_t>, std::string> strange_databases;
};
// Of all files. A tablespace that is not there has no databases.
RelationFileList FindRelationFiles(const BaseFiles& list, const pg::Version& version);

// Nothing strange: of a base backup that stands is an error.
Status CheckNothingStrange(const RelationFileList& list, const std::string& directory,
                           const pg::Version& version);

// Pages of relation files. Keeps some files open, as many as the process's limit allows for some
// hundred such objects. Not thread-safe.
class RelationFiles {
 public:
  // Both must outlive the object, and may be null where no page is read. version: of the cluster.
  RelationFiles(const BaseBackup* backup, const pg::Version* version);

  enum class Found { kPage, kNoFile, kPastEnd, kUnreadable };
  // Writes kBlockSize bytes to page when the block is there. A last block that is there in part is
  // past the end, as for the server. Errors: the machine is short of something.
  Result<Found> Read(const BlockTag& tag, uint8_t* page);
  // The same where a page that cannot be read is an error: whether the block is there.
  Result<bool> ReadOrFail(const BlockTag& tag, uint8_t* page);
  // Why the last call found kUnreadable: one line.
  const std::string& reason() const { return reason_; }

 private:
  using File = std::shared_ptr<const BaseFile>;
  Result<File> Open(const BlockTag& tag);
  Result<Found> ReadOpen(const BlockTag& tag, uint8_t* page);
  Result<Found> Unreadable(Error error);

  const BaseBackup* const backup_;
  const pg::Version* const version_;
  const size_t most_open_;
  // By relation, fork and number of the 1 GB segment (as block); null: there is no such file.
  std::map<BlockTag, File> open_;
  std::string reason_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_RELATION_FILES_H_

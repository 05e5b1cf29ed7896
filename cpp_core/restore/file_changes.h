// What WAL does to whole files: relations and databases that it makes, cuts and drops, relation maps, tablespaces.
#ifndef NEON_REDO_RESTORE_FILE_CHANGES_H_
#define NEON_REDO_RESTORE_FILE_CHANGES_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "cpp_core/pg/version.h"
#include "cpp_core/restore/output.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// Changes are gathered, and made all at once: what a file finally is depends on the last of them, and on the
// deepest cut since the file was made. Not thread-safe.
class FileChanges {
 public:
  // version must outlive the object. tablespaces: where each goes that WAL makes; empty: in place.
  FileChanges(const pg::Version& version, std::map<uint32_t, std::string> tablespaces)
      : version_(version), tablespaces_(std::move(tablespaces)) {}

  // Changes to pages are ignored.
  void Take(const Change& change);

  // Makes them, and forgets them. Pages are to be written afterwards.
  Status Apply(const OutputDirectory& output);

  // Of changes that Apply has made: the block as it was before them is gone.
  bool HasGone(const BlockTag& tag) const;

 private:
  using Database = std::pair<uint32_t, uint32_t>;  // tablespace, database
  struct Fork {
    bool must_exist = false;
    uint32_t cut = UINT32_MAX;  // blocks that are left of the file that was there; 0: none of it
  };

  void TakeDatabase(const Change& change);
  Status ApplyTablespaces(const OutputDirectory& output) const;
  Status ApplyDatabases(const OutputDirectory& output) const;

  const pg::Version& version_;
  const std::map<uint32_t, std::string> tablespaces_;
  std::map<uint32_t, bool> spaces_;     // by OID: whether it is there
  std::map<Database, bool> databases_;  // likewise
  std::map<BlockTag, Fork> forks_;
  std::map<Database, std::string> maps_;
  std::set<Database> gone_databases_;
  std::map<BlockTag, uint32_t> cuts_;  // of forks: blocks that were left
};

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_FILE_CHANGES_H_

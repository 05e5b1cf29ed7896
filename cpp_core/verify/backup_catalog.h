// Which files a base backup must have by its own catalogues: pg_database, pg_tablespace and pg_class of
// each database, as they are after the WAL that was read.
#ifndef NEON_REDO_VERIFY_BACKUP_CATALOG_H_
#define NEON_REDO_VERIFY_BACKUP_CATALOG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/catalog/commit_log.h"
#include "cpp_core/catalog/rows.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/state_bytes.h"

namespace neon_redo {

// The catalogues' own relations.
using CatalogRelations = std::map<RelFileNode, CatalogKind>;

// Rows of the catalogues' blocks that WAL changes: of one partition. Not thread-safe.
class ChangedCatalogs {
 public:
  // relations: null: no block is wanted.
  explicit ChangedCatalogs(const CatalogRelations* const* relations) : relations_(*relations) {}

  // A block that WAL changes, and its page as WAL leaves it; null: there is none.
  void Take(const BlockTag& tag, const uint8_t* page, const pg::Version& version);

 private:
  friend class BackupCatalog;
  const CatalogRelations* const& relations_;
  std::set<BlockTag> blocks_;
  std::set<RelFileNode> unknown_;  // with a block that WAL changes and whose page is not known
  std::vector<std::pair<BlockTag, CatalogRow>> rows_;
};

// What an earlier run knows of the catalogues' blocks that its WAL changes. Not thread-safe.
struct KnownCatalogs {
  std::set<RelFileNode> relations;                   // the catalogues themselves
  std::set<BlockTag> changed;                        // blocks
  std::set<RelFileNode> unknown;                     // see ChangedCatalogs
  std::map<BlockTag, std::vector<CatalogRow>> rows;  // of changed blocks

  // A change of the WAL since.
  void Take(const Change& change);
  void Save(StateWriter* out) const;
  // What was saved; not to be used unless in->ok() afterwards.
  static KnownCatalogs Load(StateReader* in);
};

// Not thread-safe.
class BackupCatalog {
 public:
  // files: has taken all WAL before FindRelations is called. All must outlive the object.
  // checksums: pages have them.
  BackupCatalog(const BaseBackup& base, const pg::Version& version, bool checksums,
                const BaseFiles& list, const FileCheck& files)
      : base_(base), version_(version), checksums_(checksums), list_(list), files_(files) {}

  // Call before FindRelations, if at all.
  void Begin(KnownCatalogs known);
  KnownCatalogs Known() const;
  // By the relation maps. Check reports damaged maps. missing: paths that are reported already; gets new
  // ones. Errors: the machine is short of something.
  Status FindRelations(std::set<std::string>* missing);
  const CatalogRelations& relations() const { return relations_; }

  // The blocks that WAL changes. May be called for several passes over the WAL.
  void Add(ChangedCatalogs changed);

  struct Context {
    CommitLog* log;                         // after the WAL
    const std::set<uint32_t>& tablespaces;  // that WAL creates or drops
    std::set<std::string>* missing;         // paths that are reported already; gets new ones
  };
  // Reports what is missing. context must live as long as IsOrphan is asked. Errors: the machine is short of
  // something.
  Status Check(const Context& context, Findings* findings);
  // After Check: all rows of the database's pg_class are known, and none of them, live or not, has the file. A
  // crash has left it, and PostgreSQL does not remove it.
  bool IsOrphan(const RelFileNode& rel) const;
  // After Check: databases that cannot be connected to any more, since DROP DATABASE was interrupted.
  // Files of theirs are no loss.
  const std::set<uint32_t>& dropping() const { return dropping_; }
  // After Check: the oldest datfrozenxid of all rows of pg_database, also of rows that are not live;
  // 0: there are none, or not all of them could be read. pg_xact has no older transactions.
  uint32_t oldest_xid() const { return KnowsAll(CatalogKind::kDatabase) ? oldest_xid_ : 0; }

 private:
  using Database = std::pair<uint32_t, uint32_t>;  // tablespace, database

  Status TakeMap(const Database& database, std::set<std::string>* missing);
  bool IsLive(const CatalogRow& row) const;
  void NoteRow(const RelFileNode& rel, const CatalogRow& row);
  bool KnowsAll(CatalogKind kind) const;
  template <typename F>
  Status ForEachRow(const RelFileNode& rel, Findings* findings, F take);
  void CheckDatabase(const CatalogRow& row, Findings* findings);
  Status CheckRelations(const Database& database, Findings* findings);
  void CheckFork(const BlockTag& fork, const std::string& what, Findings* findings);
  void Report(const std::string& path, const BlockTag& tag, Damage damage,
              const std::string& problem, Findings* findings);

  const BaseBackup& base_;
  const pg::Version& version_;
  const bool checksums_;
  const BaseFiles& list_;
  const FileCheck& files_;
  CatalogRelations relations_;
  std::map<Database, std::vector<RelFileNode>> mapped_;
  std::set<BlockTag> changed_;
  std::set<RelFileNode> unknown_;                     // of which not all rows are known
  std::map<BlockTag, std::vector<CatalogRow>> rows_;  // of changed blocks
  std::vector<Mismatch> damaged_maps_;
  std::set<uint32_t> dropping_;
  std::set<RelFileNode> read_;  // each pg_class that Check has read
  std::set<std::pair<uint32_t, uint32_t>>
      file_nodes_;  // database and file node, of all rows of them
  uint32_t oldest_xid_ = 0;
  const Context* context_ = nullptr;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BACKUP_CATALOG_H_

// Which relation files a database's pg_class has, what they are called, and which databases are being dropped.
#ifndef NEON_REDO_VERIFY_CATALOG_H_
#define NEON_REDO_VERIFY_CATALOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "cpp_core/catalog/commit_log.h"
#include "cpp_core/catalog/rows.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/verify/relation_files.h"

namespace neon_redo {

// Of a data directory at rest. Reads a database's pg_class once it is asked about the database. Not
// thread-safe.
class Catalog {
 public:
  // All must outlive the object. list: of the same. may_be_prepared: transactions that are not
  // decided may be prepared ones. earlier: an earlier state of it, whose relation maps stand for damaged
  // ones; null: there is none.
  Catalog(const BaseBackup& data, const pg::Version& version, const RelationFileList& list,
          CommitLog* log, bool may_be_prepared, const BaseBackup* earlier = nullptr)
      : data_(data),
        version_(version),
        list_(list),
        log_(*log),
        may_be_prepared_(may_be_prepared),
        earlier_(earlier) {}

  // No row of the database's pg_class that is visible, and no entry of its relation map, has the
  // file. False also if that cannot be said.
  bool Lacks(uint32_t db, uint32_t file_node);

  // "table public.t of database app", or of a shared catalog "table pg_catalog.pg_authid". Empty: it is not
  // known.
  std::string NameOf(const RelFileNode& rel);

  // That DROP DATABASE has begun to remove, as far as pg_database can be read. What is there of them is
  // of no use to anybody.
  std::set<uint32_t> DroppingDatabases();

 private:
  struct Relation {
    std::string name;
    uint32_t name_space = 0;  // OID
    char kind = 0;            // relkind
  };
  struct Database {
    bool known = false;
    std::set<uint32_t> file_nodes;
    std::map<uint32_t, Relation> relations;  // by file node
    std::map<uint32_t, Relation>
        without_file_node;  // by OID: mapped ones, and those without a file
    std::map<uint32_t, std::string> name_spaces;
    pg::RelationMap map;
  };
  using TakeRow = std::function<void(const CatalogRow& row)>;

  const Database& Loaded(uint32_t db);
  void Load(uint32_t db, Database* out);
  pg::RelationMap ReadMap(uint32_t spc, uint32_t db) const;
  // Calls take with each row that is visible. False: not all of them could be read.
  bool ForEachRow(const RelFileNode& rel, CatalogKind kind, const TakeRow& take);
  bool IsVisible(const CatalogRow& row);

  const BaseBackup& data_;
  const pg::Version& version_;
  const RelationFileList& list_;
  CommitLog& log_;
  const bool may_be_prepared_;
  const BaseBackup* const earlier_;
  std::map<uint32_t, Database> databases_;
  std::optional<std::map<uint32_t, std::string>> database_names_;  // once a name was asked for
  pg::RelationMap shared_map_;                                     // the same
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CATALOG_H_

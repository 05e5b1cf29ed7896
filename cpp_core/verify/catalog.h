// Which relation files a database's pg_class has, and which databases are being dropped.
#ifndef NEON_REDO_VERIFY_CATALOG_H_
#define NEON_REDO_VERIFY_CATALOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "cpp_core/pg/version.h"
#include "cpp_core/verify/commit_log.h"
#include "cpp_core/verify/relation_files.h"

namespace neon_redo {

// Of a data directory at rest. Reads a database's pg_class once it is asked about the database. Not
// thread-safe.
class Catalog {
 public:
  // All must outlive the object. list: of the same. may_be_prepared: transactions that are not
  // decided may be prepared ones.
  Catalog(const BaseBackup& data, const pg::Version& version, const RelationFileList& list,
          CommitLog* log, bool may_be_prepared)
      : data_(data),
        version_(version),
        list_(list),
        log_(*log),
        may_be_prepared_(may_be_prepared) {}

  // No row of the database's pg_class that is visible, and no entry of its relation map, has the
  // file. False also if that cannot be said.
  bool Lacks(uint32_t db, uint32_t file_node);

  // That DROP DATABASE has begun to remove, as far as pg_database can be read. What is there of them is
  // of no use to anybody.
  std::set<uint32_t> DroppingDatabases();

 private:
  struct Database {
    bool known = false;
    std::set<uint32_t> file_nodes;
  };
  using Map = std::map<uint32_t, uint32_t>;  // OID to file node
  using TakeRow = std::function<void(uint32_t value, uint32_t oid)>;

  void Load(uint32_t db, Database* out);
  Map ReadMap(uint32_t spc, uint32_t db) const;
  // Calls take with a column's value, at this offset, and the OID of each row that is visible. False:
  // not all of them could be read.
  bool ForEachRow(const RelFileNode& rel, size_t column, const TakeRow& take);
  bool IsVisible(const uint8_t* tuple);

  const BaseBackup& data_;
  const pg::Version& version_;
  const RelationFileList& list_;
  CommitLog& log_;
  const bool may_be_prepared_;
  std::map<uint32_t, Database> databases_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CATALOG_H_

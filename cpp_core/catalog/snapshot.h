// The names of databases and relations as the system catalogs have them at one moment, read from the pages of
// that moment, without a server.
#ifndef NEON_REDO_CATALOG_SNAPSHOT_H_
#define NEON_REDO_CATALOG_SNAPSHOT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpp_core/catalog/commit_log.h"
#include "cpp_core/catalog/rows.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// Pages of a cluster as they are at one moment.
class CatalogPages {
 public:
  virtual ~CatalogPages() = default;
  // The page of a relation or of pg_xact, kBlockSize bytes. kNotFound: it cannot be had.
  virtual Status Read(const PageKey& key, uint8_t* page) = 0;
  // Of the main fork; 0: there is no such file. Damaged WAL may make it any number.
  virtual Result<uint32_t> Blocks(const RelFileNode& rel) = 0;
  // The relation map of a database, or of 1664 and 0. Empty: there is none.
  virtual Result<std::string> Map(uint32_t tablespace, uint32_t database) = 0;
};

struct DatabaseName {
  uint32_t oid = 0;
  std::string name;
  uint32_t tablespace = 0;  // with its relation map, and its relations that name no other
};

struct RelationName {
  uint32_t oid = 0;
  std::string schema, name;
  char kind = 0;         // relkind
  char persistence = 0;  // relpersistence: of an unlogged table ('u') WAL has nothing
  RelFileNode file{};    // rel is 0: it has no file
  uint32_t toast = 0;    // OID of its TOAST table; 0: none

  bool has_file() const { return file.rel != 0; }
  std::string Qualified() const { return schema + "." + name; }
};

// A row is there if the transaction that made it has committed by pg_xact, and none that did has removed it.
// Those in progress or prepared have not. Reads what it is asked about, and keeps it. Not thread-safe.
class CatalogSnapshot {
 public:
  // Both must outlive the object. where: "at 0/1A2B3C4", for messages.
  CatalogSnapshot(CatalogPages* pages, const pg::Version& version, std::string where);

  CatalogSnapshot(const CatalogSnapshot&) = delete;
  CatalogSnapshot& operator=(const CatalogSnapshot&) = delete;

  // All functions: kNotFound: there is no such thing, or a page that is needed cannot be had; the message says
  // which. kCorrupt: pages are not what they must be.
  Result<DatabaseName> FindDatabase(std::string_view name);
  Result<std::vector<DatabaseName>> Databases();
  // name: "table" or "schema.table", as the catalog has them, without quotes; also an index, a sequence, a
  // materialized view or a TOAST table. Without a schema it must be in one only, but that of pg_catalog is
  // found last. kInvalidArgument: it has no file, or several schemas have it.
  Result<RelationName> FindRelation(const DatabaseName& database, std::string_view name);
  // The relation, its indexes, its TOAST table and the index of that.
  Result<std::vector<RelationName>> WithParts(const DatabaseName& database,
                                              const RelationName& relation);
  // The system catalogs of the database that are not shared, with their parts; of the shared ones for
  // SharedCatalogs.
  Result<std::vector<RelationName>> Catalogs(const DatabaseName& database);
  Result<std::vector<RelationName>> SharedCatalogs();
  // "table public.t of database app", or of a shared catalog "table pg_catalog.pg_authid". kNotFound: no row
  // has the file.
  Result<std::string> NameOf(const RelFileNode& file);
  // The name of a schema.
  Result<std::string> SchemaOf(const DatabaseName& database, uint32_t oid);
  // Where a catalog of the database is, by the OID of its relation.
  Result<RelFileNode> FileOf(const DatabaseName& database, uint32_t oid);

 private:
  struct Relations {
    std::map<uint32_t, RelationName> by_oid;
    std::map<uint32_t, std::string> schemas;
    std::optional<std::vector<std::pair<uint32_t, uint32_t>>> indexes;  // table, index
  };

  Result<pg::RelationMap> ReadMap(uint32_t tablespace, uint32_t database);
  Result<std::vector<CatalogRow>> Rows(const RelFileNode& rel, CatalogKind kind);
  Result<bool> HasCommitted(uint32_t xid, bool hint_committed, bool hint_aborted);
  Result<bool> IsVisible(const CatalogRow& row);
  Result<Relations*> Load(const DatabaseName& database);
  Status LoadIndexes(const DatabaseName& database, Relations* relations);
  tl::unexpected<Error> None(const std::string& what) const;

  CatalogPages& pages_;
  const pg::Version& version_;
  const std::string where_;
  CommitLog log_;
  std::optional<Error> log_error_;  // why the last page of pg_xact could not be had
  std::optional<std::vector<DatabaseName>> databases_;
  std::map<uint32_t, Relations> relations_;  // by database
};

}  // namespace neon_redo

#endif  // NEON_REDO_CATALOG_SNAPSHOT_H_

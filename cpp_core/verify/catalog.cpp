// pg_class and pg_database are mapped relations: the relation map in the directory of the database, or
// in "global", has their file nodes. pg_namespace stands in pg_class.
#include "cpp_core/verify/catalog.h"

#include <fmt/format.h>

#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/data_directory.h"

namespace neon_redo {

const Catalog::Database& Catalog::Loaded(uint32_t db) {
  const auto [at, is_new] = databases_.try_emplace(db);
  if (is_new) Load(db, &at->second);
  return at->second;
}

bool Catalog::Lacks(uint32_t db, uint32_t file_node) {
  const Database& database = Loaded(db);
  return database.known && !database.file_nodes.contains(file_node);
}

std::string Catalog::NameOf(const RelFileNode& rel) {
  if (!database_names_) {
    database_names_.emplace();
    shared_map_ = ReadMap(pg::kGlobalTablespace, 0);
    if (const auto found = shared_map_.find(pg::kDatabaseOid); found != shared_map_.end())
      ForEachRow({pg::kGlobalTablespace, 0, found->second}, CatalogKind::kDatabase,
                 [&](const CatalogRow& row) { (*database_names_)[row.oid] = row.name; });
  }
  // Shared catalogs are in the pg_class of every database.
  const bool is_shared = rel.spc == pg::kGlobalTablespace;
  const uint32_t db = !is_shared                 ? rel.db
                      : database_names_->empty() ? 0
                                                 : database_names_->begin()->first;
  const Database& database = Loaded(db);
  const Relation* found = nullptr;
  const auto take = [&](const std::map<uint32_t, Relation>& relations, uint32_t key) {
    if (const auto at = relations.find(key); at != relations.end()) found = &at->second;
  };
  if (!is_shared) take(database.relations, rel.rel);
  for (const auto& [oid, file_node] : is_shared ? shared_map_ : database.map)
    if (file_node == rel.rel) take(database.without_file_node, oid);
  if (found == nullptr) return "";
  const auto space = database.name_spaces.find(found->name_space);
  std::string out =
      fmt::format("{} {}{}", KindName(found->kind),
                  space == database.name_spaces.end() ? "" : space->second + ".", found->name);
  const auto name = database_names_->find(db);
  if (!is_shared && name != database_names_->end()) out += " of database " + name->second;
  return out;
}

void Catalog::Load(uint32_t db, Database* out) {
  for (const auto& [spc, number] : list_.databases) {
    if (number != db) continue;
    out->map = ReadMap(spc, db);
    const auto pg_class = out->map.find(pg::kClassOid);
    if (pg_class == out->map.end()) continue;
    uint32_t name_spaces = 0;  // file node of pg_namespace
    for (const auto& [oid, file_node] : out->map) out->file_nodes.insert(file_node);
    out->known =
        ForEachRow({spc, db, pg_class->second}, CatalogKind::kClass, [&](const CatalogRow& row) {
          const bool has_file = row.file_node != 0;
          out->file_nodes.insert(row.file_node);
          auto& relations = has_file ? out->relations : out->without_file_node;
          relations[has_file ? row.file_node : row.oid] = {row.name, row.name_space, row.kind};
          if (row.oid == pg::kNamespaceOid) name_spaces = row.file_node;
        });
    if (name_spaces != 0)
      ForEachRow({spc, db, name_spaces}, CatalogKind::kNamespace,
                 [&](const CatalogRow& row) { out->name_spaces[row.oid] = row.name; });
    return;
  }
}

// A row that may be visible counts. So a database is not dropped if it also has a row that says so, and
// none is if not all rows could be read.
std::set<uint32_t> Catalog::DroppingDatabases() {
  std::set<uint32_t> out, open;
  const auto map = ReadMap(pg::kGlobalTablespace, 0);
  const auto pg_database = map.find(pg::kDatabaseOid);
  if (pg_database == map.end()) return out;
  const RelFileNode rel{pg::kGlobalTablespace, 0, pg_database->second};
  const bool is_whole = ForEachRow(rel, CatalogKind::kDatabase, [&](const CatalogRow& row) {
    (row.is_dropping ? out : open).insert(row.oid);
  });
  if (!is_whole) return {};
  for (const uint32_t oid : open) out.erase(oid);
  return out;
}

// Empty when it cannot be read. VACUUM FULL and the like move a mapped catalog, so that an earlier map may name
// files that are gone: then no row is read of them.
pg::RelationMap Catalog::ReadMap(uint32_t spc, uint32_t db) const {
  for (const BaseBackup* files : {&data_, earlier_}) {
    if (files == nullptr) continue;
    const auto content = files->ReadIfThere(pg::RelationMapPath(version_, spc, db), kMaxSmallFile);
    if (!content || !*content) continue;
    if (auto map = pg::ParseRelationMap(version_, **content)) return std::move(*map);
  }
  return {};
}

// Its transaction has committed, as far as is known, and no committed one has deleted it.
bool Catalog::IsVisible(const CatalogRow& row) {
  using namespace pg::tuple;
  using Fate = CommitLog::Fate;
  if ((row.infomask & kXminFrozen) != kXminFrozen) {
    const Fate inserted = log_.Of(row.xmin);
    if (inserted == Fate::kAborted || (inserted == Fate::kUndecided && !may_be_prepared_))
      return false;
  }
  const bool has_deleter = !(row.infomask & (kXmaxInvalid | kXmaxIsMulti)) &&
                           !IsLockedOnly(row.infomask) && row.xmax != 0;
  return !has_deleter || log_.Of(row.xmax) != Fate::kCommitted;
}

bool Catalog::ForEachRow(const RelFileNode& rel, CatalogKind kind, const TakeRow& take) {
  using Found = RelationFiles::Found;
  RelationFiles files(&data_, &version_);
  alignas(8) uint8_t page[kBlockSize];
  for (BlockTag tag{rel};; tag.block++) {
    const auto found = files.Read(tag, page);
    if (!found || *found == Found::kUnreadable) return false;
    if (*found != Found::kPage) return tag.block > 0;
    if (CheckPage(page, tag.block, false)) return false;
    ForEachCatalogRow(page, kind, version_, [&](const CatalogRow& row) {
      if (IsVisible(row)) take(row);
    });
  }
}

}  // namespace neon_redo

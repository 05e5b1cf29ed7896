// pg_database and pg_class are mapped relations: the relation map of "global", or of the database, has their
// file nodes. pg_namespace and pg_index stand in pg_class.
#include "cpp_core/catalog/snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/xid.h"

namespace neon_redo {

namespace {

constexpr std::string_view kCatalogSchema = "pg_catalog";
// In a row. A server adds some hundreds at once, and fills them.
constexpr uint32_t kMostNewPages = 1 << 16;

}  // namespace

// It is asked about transactions that rows have, so that each is one that there was.
CatalogSnapshot::CatalogSnapshot(CatalogPages* pages, const pg::Version& version, std::string where)
    : pages_(*pages),
      version_(version),
      where_(std::move(where)),
      log_(
          [this](const SlruBlock& block, uint8_t* page) -> Result<bool> {
            const Status read = pages_.Read(PageKey::OfSlruBlock(block), page);
            if (!read) log_error_ = read.error();
            return read.has_value();
          },
          kFirstNormalXid, UINT32_MAX) {}

tl::unexpected<Error> CatalogSnapshot::None(const std::string& what) const {
  return MakeError(ErrorCode::kNotFound, fmt::format("there is no {} {}", what, where_));
}

Result<pg::RelationMap> CatalogSnapshot::ReadMap(uint32_t tablespace, uint32_t database) {
  ASSIGN_OR_RETURN(const std::string content, pages_.Map(tablespace, database));
  const std::string path = pg::RelationMapPath(version_, tablespace, database);
  if (content.empty()) return None("relation map " + path);
  auto map = pg::ParseRelationMap(version_, content);
  if (!map)
    return MakeError(map.error().code, fmt::format("{} {}: {}", path, where_, map.error().message));
  return map;
}

// pg_xact is asked first: a hint bit of a base backup's page may be of a later moment.
Result<bool> CatalogSnapshot::HasCommitted(uint32_t xid, bool hint_committed, bool hint_aborted) {
  if (xid < kFirstNormalXid) return xid != 0;
  switch (log_.Of(xid)) {
    case CommitLog::Fate::kCommitted:
      return true;
    case CommitLog::Fate::kAborted:
    case CommitLog::Fate::kUndecided:
      return false;
    case CommitLog::Fate::kUnknown:
      break;
  }
  if (hint_committed || hint_aborted) return hint_committed;
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("it is not known whether transaction {} had committed {}{}", xid,
                               where_, log_error_ ? ": " + log_error_->message : ""));
}

Result<bool> CatalogSnapshot::IsVisible(const CatalogRow& row) {
  using namespace pg::tuple;
  const uint16_t made = row.infomask & kXminFrozen;
  if (made != kXminFrozen) {
    ASSIGN_OR_RETURN(const bool is_made,
                     HasCommitted(row.xmin, made == kXminCommitted, made == kXminInvalid));
    if (!is_made) return false;
  }
  if (row.xmax == 0 || (row.infomask & kXmaxInvalid) || IsLockedOnly(row.infomask)) return true;
  // A multixact that is more than locks: another version of the row tells (Rows).
  if (row.infomask & kXmaxIsMulti) return true;
  ASSIGN_OR_RETURN(const bool is_removed,
                   HasCommitted(row.xmax, row.infomask & kXmaxCommitted, false));
  return !is_removed;
}

// Those that are there.
Result<std::vector<CatalogRow>> CatalogSnapshot::Rows(const RelFileNode& rel, CatalogKind kind) {
  ASSIGN_OR_RETURN(const uint32_t blocks, pages_.Blocks(rel));
  if (blocks == 0) return None("file " + pg::RelationPath(version_, rel, kMainFork));
  alignas(8) uint8_t page[kBlockSize];
  std::vector<CatalogRow> found;
  uint32_t new_pages = 0;
  for (BlockTag tag{rel}; tag.block < blocks; tag.block++) {
    RETURN_IF_ERROR(pages_.Read(PageKey::OfBlock(tag), page));
    new_pages = PageView(page).is_new() ? new_pages + 1 : 0;
    if (new_pages == kMostNewPages)
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("{} has no pages before block {} {}, and {} blocks",
                      pg::RelationPath(version_, rel, kMainFork), tag.block, where_, blocks));
    ForEachCatalogRow(page, kind, version_,
                      [&](CatalogRow row) { found.push_back(std::move(row)); });
  }
  std::vector<CatalogRow> out, uncertain;
  for (CatalogRow& row : found) {
    ASSIGN_OR_RETURN(const bool is_visible, IsVisible(row));
    if (!is_visible) continue;
    const bool may_be_gone = (row.infomask & pg::tuple::kXmaxIsMulti) && row.xmax != 0 &&
                             !pg::tuple::IsLockedOnly(row.infomask);
    (may_be_gone ? uncertain : out).push_back(std::move(row));
  }
  for (CatalogRow& row : uncertain)
    if (std::none_of(out.begin(), out.end(),
                     [&](const auto& other) { return other.oid == row.oid; }))
      out.push_back(std::move(row));
  return out;
}

Result<std::vector<DatabaseName>> CatalogSnapshot::Databases() {
  if (databases_) return *databases_;
  ASSIGN_OR_RETURN(const auto map, ReadMap(pg::kGlobalTablespace, 0));
  const auto file = map.find(pg::kDatabaseOid);
  if (file == map.end()) return None("pg_database in the relation map");
  ASSIGN_OR_RETURN(const auto rows,
                   Rows({pg::kGlobalTablespace, 0, file->second}, CatalogKind::kDatabase));
  databases_.emplace();
  for (const CatalogRow& row : rows)
    if (!row.is_dropping) databases_->push_back({row.oid, row.name, row.tablespace});
  return *databases_;
}

Result<DatabaseName> CatalogSnapshot::FindDatabase(std::string_view name) {
  ASSIGN_OR_RETURN(auto all, Databases());
  for (DatabaseName& database : all)
    if (database.name == name) return std::move(database);
  return None(fmt::format("database \"{}\"", name));
}

Result<CatalogSnapshot::Relations*> CatalogSnapshot::Load(const DatabaseName& database) {
  if (const auto known = relations_.find(database.oid); known != relations_.end())
    return &known->second;
  ASSIGN_OR_RETURN(const auto map, ReadMap(database.tablespace, database.oid));
  ASSIGN_OR_RETURN(const auto shared, ReadMap(pg::kGlobalTablespace, 0));
  const auto mapped = [](const pg::RelationMap& in, uint32_t oid) {
    const auto at = in.find(oid);
    return at == in.end() ? 0 : at->second;
  };
  const RelFileNode pg_class{database.tablespace, database.oid, mapped(map, pg::kClassOid)};
  if (pg_class.rel == 0) return None("pg_class in the relation map of database " + database.name);
  ASSIGN_OR_RETURN(const auto rows, Rows(pg_class, CatalogKind::kClass));
  Relations out;
  for (const CatalogRow& row : rows) {
    RelationName relation{row.oid, {}, row.name, row.kind, row.persistence, {}, row.toast};
    const bool is_shared = row.tablespace == pg::kGlobalTablespace;
    if (KindHasStorage(row.kind)) {
      relation.file = {row.tablespace != 0 ? row.tablespace : database.tablespace,
                       is_shared ? 0 : database.oid, row.file_node};
      if (row.file_node == 0) relation.file.rel = mapped(is_shared ? shared : map, row.oid);
    }
    relation.schema = std::to_string(row.name_space);
    out.by_oid[row.oid] = std::move(relation);
  }
  const auto name_spaces = out.by_oid.find(pg::kNamespaceOid);
  if (name_spaces == out.by_oid.end()) return None("pg_namespace in pg_class");
  ASSIGN_OR_RETURN(const auto schemas, Rows(name_spaces->second.file, CatalogKind::kNamespace));
  for (const CatalogRow& row : schemas) out.schemas[row.oid] = row.name;
  for (const CatalogRow& row : rows)
    if (const auto schema = out.schemas.find(row.name_space); schema != out.schemas.end())
      out.by_oid[row.oid].schema = schema->second;
  return &(relations_[database.oid] = std::move(out));
}

Result<RelationName> CatalogSnapshot::FindRelation(const DatabaseName& database,
                                                   std::string_view name) {
  ASSIGN_OR_RETURN(const Relations* all, Load(database));
  std::vector<const RelationName*> found;
  for (const auto& [oid, relation] : all->by_oid)
    if (relation.name == name || relation.Qualified() == name) found.push_back(&relation);
  if (found.size() > 1)
    std::erase_if(found, [&](const RelationName* r) {
      return r->schema == kCatalogSchema && r->Qualified() != name;
    });
  if (found.empty())
    return None(fmt::format("relation \"{}\" in database \"{}\"", name, database.name));
  if (found.size() > 1)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" may be {} or {}: give the schema, too", name,
                                 found[0]->Qualified(), found[1]->Qualified()));
  if (!found[0]->has_file())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} is a {}, which has no file", found[0]->Qualified(),
                                 KindName(found[0]->kind)));
  return *found[0];
}

Status CatalogSnapshot::LoadIndexes(const DatabaseName& database, Relations* relations) {
  if (relations->indexes) return {};
  ASSIGN_OR_RETURN(const RelFileNode file, FileOf(database, pg::kIndexOid));
  ASSIGN_OR_RETURN(const auto rows, Rows(file, CatalogKind::kIndex));
  relations->indexes.emplace();
  for (const CatalogRow& row : rows) relations->indexes->emplace_back(row.table, row.oid);
  std::sort(relations->indexes->begin(), relations->indexes->end());
  return {};
}

Result<std::vector<RelationName>> CatalogSnapshot::WithParts(const DatabaseName& database,
                                                             const RelationName& relation) {
  ASSIGN_OR_RETURN(Relations * all, Load(database));
  RETURN_IF_ERROR(LoadIndexes(database, all));
  std::vector<RelationName> out;
  const auto add = [&](uint32_t oid) {
    const auto at = all->by_oid.find(oid);
    if (at != all->by_oid.end() && at->second.has_file()) out.push_back(at->second);
  };
  for (const uint32_t table : {relation.oid, relation.toast}) {
    if (table == 0) continue;
    add(table);
    for (const auto& [of, index] : *all->indexes)
      if (of == table) add(index);
  }
  return out;
}

Result<std::vector<RelationName>> CatalogSnapshot::Catalogs(const DatabaseName& database) {
  ASSIGN_OR_RETURN(const Relations* all, Load(database));
  std::vector<RelationName> out;
  for (const auto& [oid, relation] : all->by_oid) {
    if (relation.schema != kCatalogSchema || relation.kind != 'r' || !relation.has_file() ||
        relation.file.spc == pg::kGlobalTablespace)
      continue;
    ASSIGN_OR_RETURN(auto parts, WithParts(database, relation));
    std::move(parts.begin(), parts.end(), std::back_inserter(out));
  }
  return out;
}

Result<std::vector<RelationName>> CatalogSnapshot::SharedCatalogs() {
  ASSIGN_OR_RETURN(const auto databases, Databases());
  if (databases.empty()) return None("database");
  ASSIGN_OR_RETURN(const Relations* all, Load(databases.front()));
  std::vector<RelationName> out;
  for (const auto& [oid, relation] : all->by_oid)
    if (relation.has_file() && relation.file.spc == pg::kGlobalTablespace) out.push_back(relation);
  return out;
}

Result<std::string> CatalogSnapshot::NameOf(const RelFileNode& file) {
  ASSIGN_OR_RETURN(const auto databases, Databases());
  const bool is_shared = file.spc == pg::kGlobalTablespace;
  for (const DatabaseName& database : databases) {
    if (!is_shared && database.oid != file.db) continue;
    ASSIGN_OR_RETURN(const Relations* all, Load(database));
    for (const auto& [oid, relation] : all->by_oid)
      if (relation.file == file)
        return fmt::format("{} {}{}", KindName(relation.kind), relation.Qualified(),
                           is_shared ? "" : " of database " + database.name);
    if (is_shared) break;
  }
  return None("relation with the file " + pg::RelationPath(version_, file, kMainFork));
}

Result<std::string> CatalogSnapshot::SchemaOf(const DatabaseName& database, uint32_t oid) {
  ASSIGN_OR_RETURN(const Relations* all, Load(database));
  const auto found = all->schemas.find(oid);
  if (found == all->schemas.end()) return None(fmt::format("schema with the OID {}", oid));
  return found->second;
}

Result<RelFileNode> CatalogSnapshot::FileOf(const DatabaseName& database, uint32_t oid) {
  ASSIGN_OR_RETURN(const Relations* all, Load(database));
  const auto found = all->by_oid.find(oid);
  if (found == all->by_oid.end() || !found->second.has_file())
    return None(fmt::format("catalog with the OID {} in database \"{}\"", oid, database.name));
  return found->second.file;
}

}  // namespace neon_redo

// pg_class and pg_database are mapped relations: the relation map in the directory of the database, or
// in "global", has their file nodes. pg_namespace stands in pg_class.
#include "cpp_core/verify/catalog.h"

#include <fmt/format.h>

#include <cstring>

#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/data_directory.h"

namespace neon_redo {

namespace {

std::string NameAt(const uint8_t* row) {
  const auto* name = reinterpret_cast<const char*>(row + pg::kNameAt);
  return {name, strnlen(name, pg::kNameSize)};
}

// RELKIND_*
const char* KindName(char kind) {
  switch (kind) {
    case 'i':
      return "index";
    case 't':
      return "TOAST table";
    case 'S':
      return "sequence";
    case 'm':
      return "materialized view";
    default:
      return "table";
  }
}

}  // namespace

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
      ForEachRow({pg::kGlobalTablespace, 0, found->second}, pg::kNameAt + pg::kNameSize,
                 [&](const uint8_t* row) { (*database_names_)[pg::Get32(row)] = NameAt(row); });
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
    const size_t kind_at = version_.class_persistence + 1;
    out->known = ForEachRow({spc, db, pg_class->second}, kind_at + 1, [&](const uint8_t* row) {
      const uint32_t file_node = pg::Get32(row + pg::kRelFileNodeAt);
      out->file_nodes.insert(file_node);
      auto& relations = file_node != 0 ? out->relations : out->without_file_node;
      relations[file_node != 0 ? file_node : pg::Get32(row)] = {
          NameAt(row), pg::Get32(row + pg::kRelNamespaceAt), static_cast<char>(row[kind_at])};
      if (pg::Get32(row) == pg::kNamespaceOid) name_spaces = file_node;
    });
    if (name_spaces != 0)
      ForEachRow({spc, db, name_spaces}, pg::kNameAt + pg::kNameSize,
                 [&](const uint8_t* row) { out->name_spaces[pg::Get32(row)] = NameAt(row); });
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
  const bool is_whole = ForEachRow(rel, pg::kDatConnLimitAt + 4, [&](const uint8_t* row) {
    const bool is_dropping = pg::Get32(row + pg::kDatConnLimitAt) == pg::kConnLimitOfDropped;
    (is_dropping ? out : open).insert(pg::Get32(row));
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
bool Catalog::IsVisible(const uint8_t* tuple) {
  using namespace pg::tuple;
  using Fate = CommitLog::Fate;
  const uint16_t infomask = pg::Get16(tuple + kInfomask);
  if ((infomask & kXminFrozen) != kXminFrozen) {
    const Fate inserted = log_.Of(pg::Get32(tuple + kXmin));
    if (inserted == Fate::kAborted || (inserted == Fate::kUndecided && !may_be_prepared_))
      return false;
  }
  const bool has_deleter = !(infomask & (kXmaxInvalid | kXmaxIsMulti)) && !IsLockedOnly(infomask) &&
                           pg::Get32(tuple + kXmax) != 0;
  return !has_deleter || log_.Of(pg::Get32(tuple + kXmax)) != Fate::kCommitted;
}

bool Catalog::ForEachRow(const RelFileNode& rel, size_t size, const TakeRow& take) {
  using Found = RelationFiles::Found;
  RelationFiles files(&data_, &version_);
  alignas(8) uint8_t page[kBlockSize];
  for (BlockTag tag{rel};; tag.block++) {
    const auto found = files.Read(tag, page);
    if (!found || *found == Found::kUnreadable) return false;
    if (*found != Found::kPage) return tag.block > 0;
    if (CheckPage(page, tag.block, false)) return false;
    const PageView view(page);
    const uint32_t count = view.line_pointer_count();
    for (uint32_t number = 1; number <= count; number++) {
      LinePointer lp;
      if (!view.line_pointer(number, &lp)) break;
      const size_t end = lp.offset() + lp.length();
      if (lp.flags() != kLpNormal || end > kBlockSize || lp.length() < pg::tuple::kTupleHeaderSize)
        continue;
      const uint8_t* tuple = page + lp.offset();
      const size_t data = lp.offset() + tuple[pg::tuple::kHoff];
      if (data + size <= end && IsVisible(tuple)) take(page + data);
    }
  }
}

}  // namespace neon_redo

// A relation that exists after the WAL has its file in the backup, unless WAL makes the file. It exists
// if a row of pg_class is live: its transaction has committed, and no other one has deleted it. All of
// this is of one moment, the end of the WAL: the rows of blocks that WAL changes are those of the
// rebuilt pages, all others those of the backup, and pg_xact is the rebuilt one. Where anything is
// unknown, nothing is demanded.
//
// Rows of unlogged relations demand the init fork. Temporary relations, and databases whose files WAL
// copies, demand nothing. The shared catalogues and a few of each database stand in a relation map
// instead of pg_class.
#include "cpp_core/verify/backup_catalog.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/pg/xid.h"
#include "cpp_core/verify/backup_reader.h"

namespace neon_redo {

namespace {

constexpr const char* kTakeNew = "; take a new backup";

bool HasStorage(const CatalogRow& row) {
  return row.file_node != 0 && row.persistence != 't' && KindHasStorage(row.kind);
}

}  // namespace

void ChangedCatalogs::Take(const BlockTag& tag, const uint8_t* page, const pg::Version& version) {
  if (relations_ == nullptr || tag.fork != kMainFork) return;
  const auto relation = relations_->find(tag.rel);
  if (relation == relations_->end()) return;
  blocks_.insert(tag);
  if (page == nullptr) unknown_.insert(tag.rel);
  if (page == nullptr) return;
  ForEachCatalogRow(page, relation->second, version, [&](CatalogRow row) {
    if (relation->second != CatalogKind::kClass || HasStorage(row))
      rows_.emplace_back(tag, std::move(row));
  });
}

void BackupCatalog::Add(ChangedCatalogs changed) {
  for (const BlockTag& tag : changed.blocks_) rows_.erase(tag);  // of an earlier run
  changed_.merge(changed.blocks_);
  unknown_.merge(changed.unknown_);
  for (auto& [tag, row] : changed.rows_) rows_[tag].push_back(std::move(row));
}

Status BackupCatalog::FindRelations(std::set<std::string>* missing) {
  for (const Database& database : files_.base().databases) {
    if (!files_.IsDatabaseOfBase(database.first, database.second)) continue;
    const auto path = pg::RelationMapPath(version_, database.first, database.second);
    // A database's directories in other tablespaces than its own have no map.
    if (database.second == 0 || list_.files.contains(path))
      RETURN_IF_ERROR(TakeMap(database, missing));
  }
  return {};
}

Status BackupCatalog::TakeMap(const Database& database, std::set<std::string>* missing) {
  const uint32_t spc = database.first, db = database.second;
  const auto map = files_.FinalMap(spc, db);
  if (!map && IsShortage(map.error().code)) return tl::unexpected(map.error());
  const auto path = pg::RelationMapPath(version_, spc, db);
  const auto report = [&](Damage damage, std::string problem) {
    if (!missing->insert(path).second) return;
    Mismatch mismatch;
    mismatch.tag.rel.db = db;
    mismatch.tag.block = kNoBlockNumber;
    mismatch.file = path;
    mismatch.damage = damage;
    mismatch.problem = std::move(problem) + kTakeNew;
    mismatch.in_backup = true;
    damaged_maps_.push_back(std::move(mismatch));
  };
  if (!map) {
    report(Damage::kUnreadable, map.error().message);
    return {};
  }
  if (map->empty() && !list_.files.contains(path)) {
    report(Damage::kMissingFile, "the relation map is missing: no server can open the database");
    return {};
  }
  if (map->size() < version_.relation_map_size) {
    report(Damage::kShortFile, fmt::format("the relation map has only {} bytes", map->size()));
    return {};
  }
  const auto entries = pg::ParseRelationMap(version_, *map);
  if (!entries) {
    report(Damage::kChecksum, entries.error().message);
    return {};
  }
  for (const auto& [oid, file_node] : *entries) {
    const RelFileNode rel{spc, db, file_node};
    mapped_[database].push_back(rel);
    if (db != 0 && oid == pg::kClassOid) relations_[rel] = CatalogKind::kClass;
    if (db == 0 && oid == pg::kDatabaseOid) relations_[rel] = CatalogKind::kDatabase;
    if (db == 0 && oid == pg::kTablespaceOid) relations_[rel] = CatalogKind::kTablespace;
  }
  return {};
}

// What is not known speaks against the row.
bool BackupCatalog::IsLive(const CatalogRow& row) const {
  using namespace pg::tuple;
  using Fate = CommitLog::Fate;
  const bool is_inserted = (row.infomask & kXminFrozen) == kXminFrozen ||
                           (row.infomask & kXminFrozen) == kXminCommitted ||
                           context_->log->Of(row.xmin) == Fate::kCommitted;
  if (!is_inserted) return false;
  if ((row.infomask & kXmaxInvalid) || row.xmax == 0 || IsLockedOnly(row.infomask)) return true;
  if (row.infomask & (kXmaxIsMulti | kXmaxCommitted)) return false;
  const Fate deleted = context_->log->Of(row.xmax);
  return deleted == Fate::kAborted || deleted == Fate::kUndecided;
}

// Whether all rows of the catalogue could be read.
bool BackupCatalog::KnowsAll(CatalogKind kind) const {
  const auto known = std::find_if(relations_.begin(), relations_.end(),
                                  [&](const auto& relation) { return relation.second == kind; });
  return known != relations_.end() && !unknown_.contains(known->first);
}

// A row of this catalogue, live or not.
void BackupCatalog::NoteRow(const RelFileNode& rel, const CatalogRow& row) {
  const uint32_t xid = row.frozen_xid;
  if (xid >= kFirstNormalXid && (oldest_xid_ == 0 || XidPrecedes(xid, oldest_xid_)))
    oldest_xid_ = xid;
  if (row.file_node != 0) file_nodes_.insert({rel.db, row.file_node});
}

bool BackupCatalog::IsOrphan(const RelFileNode& rel) const {
  const auto own = std::find_if(read_.begin(), read_.end(),
                                [&](const RelFileNode& read) { return read.db == rel.db; });
  if (rel.db == 0 || own == read_.end() || unknown_.contains(*own)) return false;
  // Perhaps cut short, or unreadable further on.
  if (context_->missing->contains(pg::RelationPath(version_, *own, kMainFork))) return false;
  const auto mapped = mapped_.find({own->spc, own->db});
  const bool is_mapped =
      mapped != mapped_.end() &&
      std::find(mapped->second.begin(), mapped->second.end(), rel) != mapped->second.end();
  return !is_mapped && !file_nodes_.contains({rel.db, rel.rel});
}

// Of all blocks of the relation as WAL leaves them.
template <typename F>
Status BackupCatalog::ForEachRow(const RelFileNode& rel, Findings* findings, F take) {
  using Found = RelationFiles::Found;
  const CatalogKind kind = relations_.at(rel);
  for (auto at = rows_.lower_bound({rel}); at != rows_.end() && at->first.rel == rel; ++at)
    for (const CatalogRow& row : at->second) {
      NoteRow(rel, row);
      if (IsLive(row)) take(row);
    }
  RelationFiles base(&base_, &version_);
  alignas(8) uint8_t page[kBlockSize];
  const auto listed = files_.base().forks.find({rel});
  const uint32_t blocks = listed == files_.base().forks.end() ? 0 : listed->second.blocks;
  const uint32_t end = std::min(files_.BaseEnd({rel}), blocks);
  if (blocks == 0 && files_.BaseEnd({rel}) > 0) unknown_.insert(rel);
  for (BlockTag tag{rel}; tag.block < end; tag.block++) {
    if (changed_.contains(tag)) continue;
    ASSIGN_OR_RETURN(const Found found, base.Read(tag, page));
    // The file was longer when it was listed.
    if (found == Found::kNoFile || found == Found::kPastEnd) unknown_.insert(rel);
    if (found == Found::kNoFile || found == Found::kPastEnd) break;
    if (found == Found::kUnreadable) {
      Report(pg::BlockFilePath(version_, tag), tag, Damage::kUnreadable, base.reason(), findings);
      unknown_.insert(rel);
      continue;
    }
    if (CheckPage(page, tag.block, checksums_)) unknown_.insert(rel);
    ForEachCatalogRow(page, kind, version_, [&](const CatalogRow& row) {
      NoteRow(rel, row);
      if (IsLive(row)) take(row);
    });
  }
  return {};
}

void BackupCatalog::Report(const std::string& path, const BlockTag& tag, Damage damage,
                           const std::string& problem, Findings* findings) {
  if (!context_->missing->insert(path).second) return;
  Mismatch mismatch;
  mismatch.tag = tag;
  mismatch.tag.block = kNoBlockNumber;
  mismatch.file = path;
  mismatch.damage = damage;
  mismatch.problem = problem;
  mismatch.in_backup = true;
  findings->Damaged(std::move(mismatch));
}

// what: "table \"t\"".
void BackupCatalog::CheckFork(const BlockTag& fork, const std::string& what, Findings* findings) {
  if (files_.HasFork(fork)) return;
  // A tablespace that is missing is one finding.
  const auto spc = list_.tablespaces.find(fork.rel.spc);
  const bool is_own =
      fork.rel.spc == pg::kDefaultTablespace || fork.rel.spc == pg::kGlobalTablespace;
  if (!is_own && (spc == list_.tablespaces.end() || spc->second.state != BaseTablespace::kThere))
    return;
  Report(pg::BlockFilePath(version_, fork), fork, Damage::kMissingFile,
         fmt::format("the file is missing: it is that of {}{}", what, kTakeNew), findings);
}

void BackupCatalog::CheckDatabase(const CatalogRow& row, Findings* findings) {
  const std::string directory = pg::DatabasePath(version_, row.tablespace, row.oid);
  if (!files_.base().databases.contains({row.tablespace, row.oid}))
    return Report(directory, {}, Damage::kMissingFile,
                  fmt::format("the directory of database \"{}\" is missing{}", row.name, kTakeNew),
                  findings);
  const std::string needed[] = {pg::RelationMapPath(version_, row.tablespace, row.oid),
                                directory + "/PG_VERSION"};
  for (const std::string& path : needed) {
    if (!list_.files.contains(path))
      Report(path, {}, Damage::kMissingFile,
             fmt::format("the file is missing: database \"{}\" needs it{}", row.name, kTakeNew),
             findings);
  }
}

Status BackupCatalog::CheckRelations(const Database& database, Findings* findings) {
  const uint32_t spc = database.first, db = database.second;
  const auto mapped = mapped_.find(database);
  if (mapped == mapped_.end()) return {};
  for (const RelFileNode& rel : mapped->second)
    CheckFork({rel}, "a system catalog, by pg_filenode.map", findings);
  for (const auto& [relation, kind] : relations_) {
    if (relation.spc != spc || relation.db != db || kind != CatalogKind::kClass) continue;
    read_.insert(relation);
    RETURN_IF_ERROR(ForEachRow(relation, findings, [&](const CatalogRow& row) {
      if (!HasStorage(row)) return;
      BlockTag fork{{row.tablespace != 0 ? row.tablespace : spc, db, row.file_node}};
      if (fork.rel.spc == pg::kGlobalTablespace) return;  // shared: mapped
      if (row.persistence == 'u') fork.fork = kInitFork;
      CheckFork(fork, fmt::format("relation \"{}\", by pg_class", row.name), findings);
    }));
  }
  return {};
}

Status BackupCatalog::Check(const Context& context, Findings* findings) {
  context_ = &context;
  for (const auto& [rel, kind] : relations_) {
    if (kind != CatalogKind::kTablespace) continue;
    RETURN_IF_ERROR(ForEachRow(rel, findings, [&](const CatalogRow& row) {
      const bool is_own = row.oid == pg::kDefaultTablespace || row.oid == pg::kGlobalTablespace;
      if (!is_own && !list_.tablespaces.contains(row.oid) && !context.tablespaces.contains(row.oid))
        Report(fmt::format("pg_tblspc/{}", row.oid), {}, Damage::kMissingFile,
               fmt::format("the link of tablespace \"{}\" is missing; link it to the tablespace's "
                           "copy in the backup",
                           row.name),
               findings);
    }));
  }
  RETURN_IF_ERROR(CheckRelations({pg::kGlobalTablespace, 0}, findings));
  std::vector<CatalogRow> databases;
  for (const auto& [rel, kind] : relations_)
    if (kind == CatalogKind::kDatabase)
      RETURN_IF_ERROR(ForEachRow(rel, findings, [&](const CatalogRow& row) {
        if (row.is_dropping)
          dropping_.insert(row.oid);
        else
          databases.push_back(row);
      }));
  // A CREATE DATABASE that a crash has ended may leave a directory that no row has.
  const auto is_wanted = [&](uint32_t db) {
    return db == 0 || std::any_of(databases.begin(), databases.end(),
                                  [&](const CatalogRow& row) { return row.oid == db; });
  };
  const bool knows_databases = KnowsAll(CatalogKind::kDatabase);
  for (Mismatch& map : damaged_maps_)
    if (is_wanted(map.tag.rel.db) || !knows_databases)
      findings->Damaged(std::move(map));
    else
      findings->Note(std::move(map));
  for (const CatalogRow& row : databases) {
    if (!files_.IsDatabaseOfBase(row.tablespace, row.oid)) continue;
    const auto spc = list_.tablespaces.find(row.tablespace);
    const bool is_lost =
        row.tablespace != pg::kDefaultTablespace &&
        (spc == list_.tablespaces.end() || spc->second.state != BaseTablespace::kThere);
    if (is_lost) continue;  // as a whole
    CheckDatabase(row, findings);
    RETURN_IF_ERROR(CheckRelations({row.tablespace, row.oid}, findings));
  }
  return {};
}

}  // namespace neon_redo

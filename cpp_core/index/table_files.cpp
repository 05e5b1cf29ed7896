// A drop removes the table's row from pg_class; TRUNCATE, and what writes the table anew, replaces it by one
// with another file. The row before is read from the page before the record.
#include "cpp_core/index/table_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/index/heap_lines.h"
#include "cpp_core/index/history.h"
#include "cpp_core/index/transactions.h"
#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

namespace {

class FormerFiles {
 public:
  FormerFiles(WalIndex* index, IndexedPages* pages, const DatabaseName& database,
              const std::string& name)
      : index_(*index), pages_(*pages), database_(database), name_(name), records_(*index) {}

  Result<std::vector<RelFileNode>> Find(Lsn from, Lsn to) {
    RETURN_IF_ERROR(FindCatalogs(from, to));
    for (const uint32_t file : catalogs_) {
      HistoryOptions options{.key = PageKey::OfBlock({{database_.tablespace, database_.oid, file}}),
                             .is_relation = true,
                             .from = from,
                             .to = to};
      ASSIGN_OR_RETURN(const auto starts, FindRecordsOf(&index_, options));
      for (const Lsn start : starts) RETURN_IF_ERROR(Look(start, file));
    }
    return std::vector<RelFileNode>(found_.begin(), found_.end());
  }

 private:
  // pg_class gets another file by VACUUM FULL.
  Status FindCatalogs(Lsn from, Lsn to) {
    const auto take = [this](std::string_view content) -> Status {
      ASSIGN_OR_RETURN(const auto map, pg::ParseRelationMap(pages_.version(), content));
      if (const auto at = map.find(pg::kClassOid); at != map.end()) catalogs_.insert(at->second);
      return {};
    };
    pages_.set_lsn(from);
    ASSIGN_OR_RETURN(const std::string first, pages_.Map(database_.tablespace, database_.oid));
    if (!first.empty()) RETURN_IF_ERROR(take(first));
    const PageKey key = PageKey::OfRelationMap(database_.tablespace, database_.oid);
    ASSIGN_OR_RETURN(const auto entries, index_.GetAll(key, from, to));
    for (const IndexEntry& entry : entries) {
      RETURN_IF_ERROR(records_.Read(entry.start));
      ASSIGN_OR_RETURN(const ChangeList* changes, records_.Changes());
      for (const Change& change : *changes)
        if (change.kind == ChangeKind::kRelationMap && change.key == key)
          RETURN_IF_ERROR(
              take({reinterpret_cast<const char*>(change.payload.data()), change.payload.size()}));
    }
    return {};
  }

  // The row that the record removes, if it removes one of this catalog.
  Status Look(Lsn start, uint32_t catalog) {
    RETURN_IF_ERROR(records_.Read(start));
    const auto line = RemovedLine(records_.view());
    if (!line || line->tag.rel != RelFileNode{database_.tablespace, database_.oid, catalog})
      return {};
    pages_.set_lsn(start);
    alignas(8) uint8_t page[kBlockSize];
    RETURN_IF_ERROR(pages_.Read(PageKey::OfBlock(line->tag), page));
    const auto row = ReadCatalogRow(page, line->line, CatalogKind::kClass, pages_.version());
    if (!row || row->file_node == 0 || !MayBe(*row)) return {};
    const RelFileNode file{row->tablespace != 0 ? row->tablespace : database_.tablespace,
                           database_.oid, row->file_node};
    if (found_.contains(file)) return {};
    if (row->name != name_) {
      ASSIGN_OR_RETURN(const std::string schema, SchemaOf(*row, start));
      if (schema + "." + row->name != name_) return {};
    }
    found_.insert(file);
    return {};
  }

  bool MayBe(const CatalogRow& row) const {
    return row.name == name_ || name_.ends_with("." + row.name);
  }

  Result<std::string> SchemaOf(const CatalogRow& row, Lsn lsn) {
    const auto known = schemas_.find(row.name_space);
    if (known != schemas_.end()) return known->second;
    CatalogSnapshot snapshot(&pages_, pages_.version(), "at " + lsn.ToString());
    ASSIGN_OR_RETURN(std::string name, snapshot.SchemaOf(database_, row.name_space));
    // A schema that is renamed later has both names.
    return schemas_[row.name_space] = std::move(name);
  }

  WalIndex& index_;
  IndexedPages& pages_;
  const DatabaseName& database_;
  const std::string& name_;
  IndexedRecords records_;
  std::set<uint32_t> catalogs_;  // file nodes of pg_class
  std::set<RelFileNode> found_;
  std::map<uint32_t, std::string> schemas_;
};

}  // namespace

Result<std::vector<RelFileNode>> FindFormerFiles(WalIndex* index, IndexedPages* pages,
                                                 const DatabaseName& database,
                                                 const std::string& name, Lsn from, Lsn to) {
  return FormerFiles(index, pages, database, name).Find(from, to);
}

}  // namespace neon_redo

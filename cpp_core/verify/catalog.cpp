// pg_class and pg_database are mapped relations: the relation map in the directory of the database, or
// in "global", has their file nodes. Of pg_class's rows only relfilenode is read, of pg_database's
// datconnlimit.
#include "cpp_core/verify/catalog.h"

#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/data_directory.h"

namespace neon_redo {

bool Catalog::Lacks(uint32_t db, uint32_t file_node) {
  const auto [at, is_new] = databases_.try_emplace(db);
  if (is_new) Load(db, &at->second);
  return at->second.known && !at->second.file_nodes.contains(file_node);
}

void Catalog::Load(uint32_t db, Database* out) {
  for (const auto& [spc, number] : list_.databases) {
    if (number != db) continue;
    const auto map = ReadMap(spc, db);
    const auto pg_class = map.find(pg::kClassOid);
    if (pg_class == map.end()) continue;
    for (const auto& [oid, file_node] : map) out->file_nodes.insert(file_node);
    out->known = ForEachRow({spc, db, pg_class->second}, pg::kRelFileNodeAt,
                            [&](uint32_t value, uint32_t) { out->file_nodes.insert(value); });
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
  const bool is_whole = ForEachRow(rel, pg::kDatConnLimitAt, [&](uint32_t limit, uint32_t oid) {
    (limit == pg::kConnLimitOfDropped ? out : open).insert(oid);
  });
  if (!is_whole) return {};
  for (const uint32_t oid : open) out.erase(oid);
  return out;
}

// Empty when it cannot be read.
Catalog::Map Catalog::ReadMap(uint32_t spc, uint32_t db) const {
  Map out;
  const auto content = data_.ReadIfThere(
      pg::DatabasePath(version_, spc, db) + "/" + pg::kRelationMapFile, kMaxSmallFile);
  if (!content || !*content || (*content)->size() < 8) return out;
  const auto* bytes = reinterpret_cast<const uint8_t*>((*content)->data());
  if (LoadNative<uint32_t>(bytes) != pg::kRelationMapMagic) return out;
  const uint32_t count = LoadNative<uint32_t>(bytes + 4);
  for (size_t at = 8; at < 8 + size_t{8} * count && at + 8 <= (*content)->size(); at += 8)
    out[LoadNative<uint32_t>(bytes + at)] = LoadNative<uint32_t>(bytes + at + 4);
  return out;
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

bool Catalog::ForEachRow(const RelFileNode& rel, size_t column, const TakeRow& take) {
  using Found = RelationFiles::Found;
  RelationFiles files(&data_, &version_);
  alignas(8) uint8_t page[kBlockSize];
  for (BlockTag tag{rel};; tag.block++) {
    const auto found = files.Read(tag, page);
    if (!found || *found == Found::kUnreadable) return false;
    if (*found != Found::kPage) return tag.block > 0;
    const PageView view(page);
    const uint32_t count = view.line_pointer_count();
    for (uint32_t number = 1; number <= count; number++) {
      LinePointer lp;
      if (!view.line_pointer(number, &lp)) break;
      if (lp.flags() != kLpNormal || lp.offset() + pg::tuple::kTupleHeaderSize > kBlockSize)
        continue;
      const uint8_t* tuple = page + lp.offset();
      const size_t data = lp.offset() + tuple[pg::tuple::kHoff];
      if (data + column + 4 <= kBlockSize && IsVisible(tuple))
        take(pg::Get32(page + data + column), pg::Get32(page + data));
    }
  }
}

}  // namespace neon_redo

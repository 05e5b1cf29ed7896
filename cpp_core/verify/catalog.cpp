// pg_class is a mapped relation: the relation map in the database's directory has its file node
// (RelMapFile in utils/cache/relmapper.c). Of its rows only relfilenode is read
// (FormData_pg_class in catalog/pg_class.h).
#include "cpp_core/verify/catalog.h"

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

constexpr uint32_t kRelationRelation = 1259;  // RelationRelationId
constexpr uint32_t kMapMagic = 0x592717;      // RELMAPPER_FILEMAGIC
// oid, relname, then relnamespace, reltype, reloftype, relowner, relam, relfilenode.
constexpr size_t kFileNodeAt = 4 + 64 + 5 * 4;

}  // namespace

bool Catalog::Lacks(uint32_t db, uint32_t file_node) {
  const auto [at, is_new] = databases_.try_emplace(db);
  if (is_new) Load(db, &at->second);
  return at->second.known && !at->second.file_nodes.contains(file_node);
}

void Catalog::Load(uint32_t db, Database* out) {
  using Found = RelationFiles::Found;
  for (const auto& [spc, number] : list_.databases) {
    if (number != db) continue;
    const auto map = ReadFileIfThere(
        directory_, pg::DatabasePath(version_, spc, db) + "/" + pg::kRelationMapFile);
    BlockTag tag{{spc, db, 0}};
    if (!map || !*map || !ReadMap(**map, out, &tag.rel.rel)) continue;
    RelationFiles files(directory_, &version_);
    alignas(8) uint8_t page[kBlockSize];
    for (;; tag.block++) {
      const auto found = files.Read(tag, page);
      if (!found || *found == Found::kUnreadable) return;
      if (*found != Found::kPage) break;
      TakePage(page, out);
    }
    out->known = tag.block > 0;
    return;
  }
}

bool Catalog::ReadMap(const std::string& content, Database* out, uint32_t* pg_class) const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(content.data());
  if (content.size() < 8 || LoadNative<uint32_t>(bytes) != kMapMagic) return false;
  const uint32_t count = LoadNative<uint32_t>(bytes + 4);
  *pg_class = 0;
  for (size_t i = 0; i < count && 8 * i + 16 <= content.size(); i++) {
    const uint32_t file_node = LoadNative<uint32_t>(bytes + 8 * i + 12);
    out->file_nodes.insert(file_node);
    if (LoadNative<uint32_t>(bytes + 8 * i + 8) == kRelationRelation) *pg_class = file_node;
  }
  return *pg_class != 0;
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

void Catalog::TakePage(const uint8_t* page, Database* out) {
  const PageView view(page);
  const uint32_t count = view.line_pointer_count();
  for (uint32_t number = 1; number <= count; number++) {
    LinePointer lp;
    if (!view.line_pointer(number, &lp)) return;
    if (lp.flags() != kLpNormal || lp.offset() + pg::tuple::kTupleHeaderSize > kBlockSize) continue;
    const uint8_t* tuple = page + lp.offset();
    const size_t at = lp.offset() + tuple[pg::tuple::kHoff] + kFileNodeAt;
    if (at + 4 <= kBlockSize && IsVisible(tuple)) out->file_nodes.insert(pg::Get32(page + at));
  }
}

}  // namespace neon_redo

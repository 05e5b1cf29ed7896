#include "cpp_core/index/catalog_pages.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/store/encoding.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

namespace {

Bytes BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

// Pages of pg_commit_ts are not read.
IndexedPages::IndexedPages(WalIndex* index, Lsn from, BaseContent base, const WorkerOptions& worker)
    : index_(*index),
      from_(from),
      base_(std::move(base)),
      changes_(index, from, false),
      reader_(&changes_, base_.page, worker) {}

Status IndexedPages::Read(const PageKey& key, uint8_t* page) {
  ASSIGN_OR_RETURN(const PageAt found, reader_.Read(key, lsn_));
  std::memcpy(page, found.page.data(), kBlockSize);
  return {};
}

Result<std::optional<IndexedPages::Creation>> IndexedPages::LastCreation(uint32_t tablespace,
                                                                         uint32_t database,
                                                                         Lsn lsn) {
  const PageKey key = DatabaseKey(tablespace, database);
  ASSIGN_OR_RETURN(const auto stored, changes_.Get(key, lsn));
  if (stored.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(const auto decoded, DecodeChange(key, BytesOf(stored.back().value)));
  Creation out{stored.back().lsn, std::nullopt};
  if (decoded.change.kind == ChangeKind::kCopyDatabase)
    out.source = {decoded.change.number, decoded.change.number2};
  return out;
}

// Blocks plus one; 0: there is no such fork.
Result<uint64_t> IndexedPages::SizeAt(const RelFileNode& rel, Lsn lsn) {
  ASSIGN_OR_RETURN(const auto creation, LastCreation(rel.spc, rel.db, lsn));
  const PageKey key = PageKey::OfRelationSize(rel, kMainFork);
  ASSIGN_OR_RETURN(const SizeBounds bounds, index_.GetSize(key, from_, lsn));
  if (bounds.is_known()) return bounds.least;
  if (creation) {
    if (!creation->source) return bounds.Of(0);
    ASSIGN_OR_RETURN(
        const uint64_t before,
        SizeAt({creation->source->first, creation->source->second, rel.rel}, creation->end));
    return bounds.Of(before);
  }
  const std::string path = pg::RelationPath(version(), rel, kMainFork);
  if (!base_.blocks)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the WAL does not say how many blocks {} has: a base backup "
                                 "taken before is needed",
                                 path));
  ASSIGN_OR_RETURN(const auto blocks, base_.blocks(rel));
  return bounds.Of(blocks ? uint64_t{*blocks} + 1 : 0);
}

Result<uint32_t> IndexedPages::Blocks(const RelFileNode& rel) {
  ASSIGN_OR_RETURN(const uint64_t size, SizeAt(rel, lsn_));
  return size == 0 ? 0 : static_cast<uint32_t>(size - 1);
}

Result<std::string> IndexedPages::MapAt(uint32_t tablespace, uint32_t database, Lsn lsn) {
  ASSIGN_OR_RETURN(const auto creation, LastCreation(tablespace, database, lsn));
  const PageKey key = PageKey::OfRelationMap(tablespace, database);
  ASSIGN_OR_RETURN(const auto stored, changes_.Get(key, lsn));
  if (!stored.empty() && (!creation || stored.back().lsn > creation->end)) {
    ASSIGN_OR_RETURN(const auto decoded, DecodeChange(key, BytesOf(stored.back().value)));
    const Bytes map = decoded.change.payload;
    return std::string(reinterpret_cast<const char*>(map.data()), map.size());
  }
  if (creation && creation->source)
    return copies_.Follow(
        [&] { return MapAt(creation->source->first, creation->source->second, creation->end); });
  if (creation) return std::string();
  if (!base_.map)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the WAL does not have {}: a base backup taken before is needed",
                                 pg::RelationMapPath(version(), tablespace, database)));
  return base_.map(tablespace, database);
}

Result<std::string> IndexedPages::Map(uint32_t tablespace, uint32_t database) {
  return MapAt(tablespace, database, lsn_);
}

}  // namespace neon_redo

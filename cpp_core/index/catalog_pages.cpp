#include "cpp_core/index/catalog_pages.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/store/encoding.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

// Pages of pg_commit_ts are not read.
IndexedPages::IndexedPages(WalIndex* index, Lsn from, BaseContent base, const WorkerOptions& worker)
    : index_(*index),
      from_(from),
      base_(std::move(base)),
      changes_(index, from, false),
      reader_(&changes_, base_.page, worker),
      sizes_(index, &changes_, base_.blocks, from) {}

Status IndexedPages::Read(const PageKey& key, uint8_t* page) {
  ASSIGN_OR_RETURN(const auto found, reader_.ReadIfThere(key, lsn_));
  if (!found && !key.ToBlock()) return MakeError(ErrorCode::kNotFound, reader_.absence());
  if (found)
    std::memcpy(page, found->page.data(), kBlockSize);
  else
    std::memset(page, 0, kBlockSize);
  return {};
}

Result<std::optional<IndexedPages::Creation>> IndexedPages::LastCreation(uint32_t tablespace,
                                                                         uint32_t database,
                                                                         Lsn lsn) {
  const PageKey key = DatabaseKey(tablespace, database);
  ASSIGN_OR_RETURN(const auto stored, changes_.Get(key, lsn));
  if (stored.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(const auto decoded, DecodeStored(key, stored.back()));
  Creation out{stored.back().lsn, std::nullopt};
  if (decoded.change.kind == ChangeKind::kCopyDatabase)
    out.source = {decoded.change.number, decoded.change.number2};
  return out;
}

Result<uint32_t> IndexedPages::Blocks(const RelFileNode& rel) {
  ASSIGN_OR_RETURN(const ForkSize size, sizes_.Read(rel, kMainFork, lsn_));
  return size.blocks.value_or(0);
}

Result<std::string> IndexedPages::MapAt(uint32_t tablespace, uint32_t database, Lsn lsn) {
  ASSIGN_OR_RETURN(const auto creation, LastCreation(tablespace, database, lsn));
  const PageKey key = PageKey::OfRelationMap(tablespace, database);
  ASSIGN_OR_RETURN(const auto stored, changes_.Get(key, lsn));
  if (!stored.empty() && (!creation || stored.back().lsn > creation->end)) {
    ASSIGN_OR_RETURN(const auto decoded, DecodeStored(key, stored.back()));
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

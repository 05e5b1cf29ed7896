#include "cpp_core/pg/relation_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/bytes.h"

namespace neon_redo::pg {

namespace {

constexpr uint32_t kMagic = 0x592717;  // RELMAPPER_FILEMAGIC
// The number of entries comes after it, then OID and file node of each (RelMapFile).
constexpr size_t kEntries = 8, kEntry = 8;

}  // namespace

std::string RelationMapPath(const Version& version, uint32_t tablespace, uint32_t database) {
  return fmt::format("{}/pg_filenode.map", DatabasePath(version, tablespace, database));
}

Result<RelationMap> ParseRelationMap(const Version& version, std::string_view content) {
  const size_t crc_at = RelationMapCrcAt(version);
  const auto* bytes = reinterpret_cast<const uint8_t*>(content.data());
  if (content.size() < version.relation_map_size || Get32(bytes) != kMagic ||
      Get32(bytes + crc_at) != Crc32c(Bytes(bytes, crc_at)))
    return MakeError(ErrorCode::kCorrupt, "the relation map's checksum does not fit its content");
  RelationMap out;
  const size_t count = std::min<size_t>(Get32(bytes + 4), (crc_at - kEntries) / kEntry);
  for (size_t i = 0; i < count; i++) {
    const uint8_t* entry = bytes + kEntries + i * kEntry;
    out[Get32(entry)] = Get32(entry + 4);
  }
  return out;
}

}  // namespace neon_redo::pg

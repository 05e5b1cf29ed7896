#include "cpp_core/pg/paths.h"

#include <fmt/format.h>

#include <charconv>

#include "cpp_core/pg/slru.h"

namespace neon_redo::pg {

std::string TablespacePath(const Version& version, uint32_t tablespace) {
  if (tablespace == kGlobalTablespace) return "global";
  if (tablespace == kDefaultTablespace) return "base";
  return fmt::format("pg_tblspc/{}/{}", tablespace, version.tablespace_directory);
}

std::string DatabasePath(const Version& version, uint32_t tablespace, uint32_t database) {
  const std::string path = TablespacePath(version, tablespace);
  return tablespace == kGlobalTablespace ? path : fmt::format("{}/{}", path, database);
}

std::string RelationPath(const Version& version, const RelFileNode& rel, uint8_t fork) {
  std::string path = fmt::format("{}/{}", DatabasePath(version, rel.spc, rel.db), rel.rel);
  if (fork != kMainFork) path += fmt::format("_{}", ForkName(fork));
  return path;
}

std::string BlockFilePath(const Version& version, const BlockTag& tag) {
  std::string path = RelationPath(version, tag.rel, tag.fork);
  if (const uint32_t segment = tag.block / kBlocksPerFile; segment > 0)
    path += fmt::format(".{}", segment);
  return path;
}

std::vector<std::string> NeededDirectories() {
  std::vector<std::string> out{"base", "global", kTwoPhaseDirectory};
  out.emplace_back(kTablespaceLinks.substr(0, kTablespaceLinks.size() - 1));
  for (int kind = 0; kind < kSlruKinds; kind++)
    out.emplace_back(SlruDirectory(static_cast<SlruKind>(kind)));
  return out;
}

bool HoldsData(std::string_view path) {
  static const auto* const directories = new std::vector<std::string>(NeededDirectories());
  for (const std::string& name : *directories) {
    const std::string below = name + "/";
    if (path.starts_with(below) || (path.ends_with('/') && below.starts_with(path))) return true;
  }
  return false;
}

std::string TwoPhasePath(const Version& version, uint32_t xid, uint64_t next_full_xid) {
  if (!version.two_phase_names_have_epoch) return fmt::format("{}/{:08X}", kTwoPhaseDirectory, xid);
  // Of all transactions with this number, the one nearest to next_full_xid.
  const int64_t distance = static_cast<int32_t>(xid - static_cast<uint32_t>(next_full_xid));
  const int64_t nearest = static_cast<int64_t>(next_full_xid) + distance;
  const uint64_t full_xid = nearest < 0 ? xid : static_cast<uint64_t>(nearest);
  return fmt::format("{}/{:016X}", kTwoPhaseDirectory, full_xid);
}

std::optional<uint32_t> ParseTwoPhaseName(const Version& version, std::string_view name) {
  const size_t digits = version.two_phase_names_have_epoch ? 16 : 8;
  if (name.size() != digits || name.find_first_not_of("0123456789ABCDEF") != name.npos)
    return std::nullopt;
  uint64_t full_xid = 0;
  std::from_chars(name.data(), name.data() + name.size(), full_xid, 16);
  return static_cast<uint32_t>(full_xid);
}

std::optional<uint32_t> ParseOid(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text[0] == '0')
    return std::nullopt;
  return number;
}

std::optional<RelationFileName> ParseRelationFileName(std::string_view name) {
  RelationFileName out{0, kMainFork, 0};
  if (const size_t dot = name.find('.'); dot != name.npos) {
    const auto segment = ParseOid(name.substr(dot + 1));
    // The number of a block has 32 bits.
    if (!segment || *segment > UINT32_MAX / kBlocksPerFile) return std::nullopt;
    out.segment = *segment;
    name = name.substr(0, dot);
  }
  if (const size_t line = name.find('_'); line != name.npos) {
    const std::string_view fork = name.substr(line + 1);
    do {
      if (++out.fork > kMaxForkNumber) return std::nullopt;
    } while (fork != ForkName(out.fork));
    name = name.substr(0, line);
  }
  const auto rel = ParseOid(name);
  if (!rel) return std::nullopt;
  out.rel = *rel;
  return out;
}

std::optional<std::pair<uint32_t, uint32_t>> ParseDatabasePath(const Version& version,
                                                               std::string_view path) {
  if (path == "global") return std::pair(kGlobalTablespace, 0u);
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return std::nullopt;
  const auto db = ParseOid(path.substr(slash + 1));
  std::string_view above = path.substr(0, slash);
  if (!db) return std::nullopt;
  if (above == "base") return std::pair(kDefaultTablespace, *db);
  const std::string version_part = fmt::format("/{}", version.tablespace_directory);
  if (!above.starts_with(kTablespaceLinks) || !above.ends_with(version_part) ||
      above.size() < kTablespaceLinks.size() + version_part.size())
    return std::nullopt;
  above.remove_prefix(kTablespaceLinks.size());
  above.remove_suffix(version_part.size());
  const auto spc = ParseOid(above);
  if (!spc) return std::nullopt;
  return std::pair(*spc, *db);
}

std::optional<BlockTag> ParseRelationPath(const Version& version, std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return std::nullopt;
  const auto name = ParseRelationFileName(path.substr(slash + 1));
  if (!name) return std::nullopt;
  const auto database = ParseDatabasePath(version, path.substr(0, slash));
  if (!database) return std::nullopt;
  return BlockTag{
      {database->first, database->second, name->rel}, name->fork, name->segment * kBlocksPerFile};
}

}  // namespace neon_redo::pg

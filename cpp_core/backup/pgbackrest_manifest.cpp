#include "cpp_core/backup/pgbackrest_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "cpp_core/archive/pgbackrest_info.h"
#include "cpp_core/archive/segment.h"
#include "cpp_core/backup/checksum.h"
#include "cpp_core/base/number.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kData = "pg_data/";
constexpr uint64_t kBlockUnit = 8192;             // BLOCK_INCR_SIZE_FACTOR
constexpr uint64_t kMinChecksumSize = 6;          // BLOCK_INCR_CHECKSUM_SIZE_MIN
constexpr uint64_t kMaxBlockSize = 64 << 20;      // far above what pgBackRest chooses
constexpr uint64_t kMaxMapSize = 64 << 20;        // some million blocks
constexpr uint64_t kMaxSize = uint64_t{1} << 62;  // sums of two do not overflow

// A field of an object. Nothing: it is not there, or of another type.
std::optional<uint64_t> Number(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}
std::optional<std::string> Text(const Json& value) {
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}
std::optional<std::string> Text(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? std::nullopt : Text(*found);
}

// In the cluster; nothing: it would lie outside.
std::optional<std::string> NameInCluster(std::string_view stored) {
  if (!IsSafeRelativePath(stored)) return std::nullopt;
  if (stored.starts_with(kData)) return std::string(stored.substr(kData.size()));
  if (stored.starts_with(pg::kTablespaceLinks)) return std::string(stored);
  return std::nullopt;
}

class ManifestTaker {
 public:
  explicit ManifestTaker(const std::string& where) : where_(where) {}

  Status Take(std::string_view section, std::string_view key, const Json& value) {
    if (section == "target:file") return TakeFile(key, value);
    if (section == "target:path") return TakePath(key);
    if (section == "backup:target") return TakeTarget(key, value);
    if (section == "backup") return TakeBackup(key, value);
    if (section == "backup:option" && key == "option-compress-type") return TakePacking(value);
    if (section == "backup:db" && key == "db-system-id" && value.is_number_unsigned())
      out_.system_identifier = value.get<uint64_t>();
    if (section == "cipher" && key == "cipher-pass") out_.cipher_pass = Text(value).value_or("");
    if (section == "backrest" && key == "backrest-version")
      out_.blocks_are_beta = IsBefore246(Text(value).value_or(""));
    return {};
  }

  // Once all lines are there: names of labels become their places in the list.
  Result<PgBackRestManifest> Finish() {
    if (!IsPgBackRestLabel(out_.label)) return Corrupt("it has no label");
    for (const std::string& label : out_.labels)
      if (!IsPgBackRestLabel(label)) return Corrupt(fmt::format("\"{}\" is no label", label));
    for (auto& [name, label] : references_) {
      if (label.empty()) label = out_.label;
      if (!IsPgBackRestLabel(label)) return Corrupt(fmt::format("\"{}\" is no label", label));
      auto found = std::find(out_.labels.begin(), out_.labels.end(), label);
      if (found == out_.labels.end()) found = out_.labels.insert(found, label);
      out_.files.at(name).reference = static_cast<uint32_t>(found - out_.labels.begin());
    }
    if (start_ && stop_ && timeline_ > 0) out_.wal = ManifestWalRange{timeline_, *start_, *stop_};
    return std::move(out_);
  }

 private:
  tl::unexpected<Error> Corrupt(const std::string& why) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("{} is damaged: {}", where_, why));
  }

  static bool IsBefore246(std::string_view version) {
    int major = 0, minor = 0;
    const auto end = version.data() + version.size();
    const auto [dot, error] = std::from_chars(version.data(), end, major);
    if (error != std::errc() || dot == end) return false;
    std::from_chars(dot + 1, end, minor);
    return major == 2 && minor < 46;
  }

  Status TakeBackup(std::string_view key, const Json& value) {
    const std::string text = Text(value).value_or("");
    if (key == "backup-label") out_.label = text;
    if (key == "backup-bundle-raw") out_.bundles_are_raw = value == true;
    if (key == "backup-lsn-start") start_ = ParseLsn(text);
    if (key == "backup-lsn-stop") stop_ = ParseLsn(text);
    if (const auto name = ParseSegmentName(text); name && key == "backup-archive-start")
      timeline_ = name->timeline;
    if (key != "backup-reference") return {};
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find(',', at), text.size());
      out_.labels.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return {};
  }

  static std::optional<Lsn> ParseLsn(const std::string& text) {
    const auto lsn = Lsn::Parse(text);
    return lsn ? std::optional(*lsn) : std::nullopt;
  }

  Status TakePacking(const Json& value) {
    const std::string name = Text(value).value_or("");
    constexpr std::pair<const char*, Packing> kPackings[] = {{"none", Packing::kNone},
                                                             {"gz", Packing::kGzip},
                                                             {"lz4", Packing::kLz4},
                                                             {"zst", Packing::kZstd},
                                                             {"bz2", Packing::kBzip2}};
    for (const auto& [known, packing] : kPackings)
      if (name == known) {
        out_.packing = packing;
        return {};
      }
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("{} says that its files are packed by \"{}\", which is not known",
                                 where_, name));
  }

  // "pg_data", "pg_data/base", "pg_tblspc", "pg_tblspc/16384/PG_MAJOR_CATALOG".
  Status TakePath(std::string_view key) {
    if (key == "pg_data") return {};
    const auto name = key == "pg_tblspc" ? std::string(key) : NameInCluster(key);
    if (!name) return Corrupt(fmt::format("directory \"{}\" lies outside the backup", key));
    out_.directories.insert(*name);
    return {};
  }

  Status TakeTarget(std::string_view key, const Json& value) {
    if (!key.starts_with(pg::kTablespaceLinks)) return {};
    const auto oid = pg::ParseOid(key.substr(pg::kTablespaceLinks.size()));
    if (!oid) return Corrupt(fmt::format("\"{}\" is no tablespace", key));
    out_.tablespaces[*oid] = Text(value, "path").value_or("");
    return {};
  }

  Status TakeFile(std::string_view key, const Json& value) {
    const auto name = NameInCluster(key);
    if (!name) return Corrupt(fmt::format("file \"{}\" lies outside the backup", key));
    const auto size = Number(value, "size");
    if (!value.is_object() || !size) return Corrupt(fmt::format("file \"{}\" has no size", key));
    PgBackRestFile file;
    file.stored_name = key;
    file.size = *size;
    file.stored_size = Number(value, "repo-size").value_or(*size);
    file.bundle = Number(value, "bni").value_or(0);
    file.offset = Number(value, "bno").value_or(0);
    const auto sha1 = FromHex(Text(value, "checksum").value_or(""));
    if (*size > 0 && (!sha1 || sha1->size() != ChecksumSize(ChecksumKind::kSha1)))
      return Corrupt(fmt::format("file \"{}\" has no SHA-1", key));
    if (*size > 0) file.sha1 = *sha1;
    file.map_size = Number(value, "bim").value_or(0);
    file.block_size = Number(value, "bi").value_or(0) * kBlockUnit;
    const uint64_t checksum_size = Number(value, "bic").value_or(kMinChecksumSize);
    const bool blocks_can_be =
        file.map_size == 0 ||
        (file.map_size <= std::min(file.stored_size, kMaxMapSize) && file.block_size > 0 &&
         file.block_size <= kMaxBlockSize && checksum_size >= kMinChecksumSize &&
         checksum_size <= 16 && *size > 0);
    if (file.size > kMaxSize || file.stored_size > kMaxSize || file.offset > kMaxSize ||
        !blocks_can_be)
      return Corrupt(fmt::format("the numbers of file \"{}\" cannot be", key));
    file.block_checksum_size = static_cast<uint32_t>(checksum_size);
    if (!out_.files.insert({*name, std::move(file)}).second)
      return Corrupt(fmt::format("file \"{}\" is there twice", key));
    references_.emplace_back(*name, Text(value, "reference").value_or(""));
    return {};
  }

  const std::string& where_;
  PgBackRestManifest out_;
  std::vector<std::pair<std::string, std::string>> references_;  // file, label
  std::optional<Lsn> start_, stop_;
  uint32_t timeline_ = 0;
};

}  // namespace

bool IsPgBackRestLabel(std::string_view text) {
  constexpr std::string_view kFull = "dddddddd-ddddddF", kMore = "_dddddddd-dddddd";
  const auto fits = [](std::string_view part, std::string_view pattern) {
    return std::equal(part.begin(), part.end(), pattern.begin(), pattern.end(),
                      [](char c, char p) { return p == 'd' ? c >= '0' && c <= '9' : c == p; });
  };
  if (!fits(text.substr(0, kFull.size()), kFull)) return false;
  text.remove_prefix(kFull.size());
  return text.empty() || (fits(text.substr(0, kMore.size()), kMore) &&
                          (text.substr(kMore.size()) == "D" || text.substr(kMore.size()) == "I"));
}

Result<PgBackRestManifest> ParsePgBackRestManifest(std::string_view text,
                                                   const std::string& where) {
  ManifestTaker taker(where);
  RETURN_IF_ERROR(ParsePgBackRestInfo(
      text, where, [&](std::string_view section, std::string_view key, const Json& value) {
        return taker.Take(section, key, value);
      }));
  return taker.Finish();
}

}  // namespace neon_redo

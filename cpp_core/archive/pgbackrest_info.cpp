// The checksum is the SHA-1 of the content written as one JSON object of objects:
// {"SECTION":{"KEY":VALUE,…},…}, without spaces and without the checksum's own line.
#include "cpp_core/archive/pgbackrest_info.h"

#include <fmt/format.h>
#include <nettle/sha1.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr std::string_view kOwnSection = "backrest";
constexpr uint64_t kFormat = 5;  // REPOSITORY_FORMAT

// What the checksum covers, as it comes.
class OwnChecksum {
 public:
  OwnChecksum() { sha1_init(&checksum_); }

  void AddLine(std::string_view section, std::string_view key, std::string_view value) {
    std::string text;
    if (section_ != section)
      text = fmt::format("{}\"{}\":{{", section_ ? "}," : "{", section);
    else
      text = ",";
    section_ = section;
    text += nlohmann::json(key).dump(-1, ' ', false, nlohmann::json::error_handler_t::ignore);
    text += fmt::format(":{}", value);
    Add(text);
  }

  // In hexadecimal digits.
  std::string Finish() {
    Add("}}");
    uint8_t digest[SHA1_DIGEST_SIZE];
    sha1_digest(&checksum_, sizeof(digest), digest);
    std::string hex;
    for (const uint8_t byte : digest) hex += fmt::format("{:02x}", byte);
    return hex;
  }

 private:
  void Add(std::string_view text) {
    sha1_update(&checksum_, text.size(), reinterpret_cast<const uint8_t*>(text.data()));
  }

  sha1_ctx checksum_;
  std::optional<std::string> section_;
};

struct Line {
  std::string_view key, value;
  nlohmann::json json;
};

// A key may have equals signs in it: the first after which JSON stands ends it.
std::optional<Line> ParseLine(std::string_view text) {
  for (size_t at = text.find('='); at != text.npos; at = text.find('=', at + 1)) {
    Line line{text.substr(0, at), text.substr(at + 1), {}};
    line.json = nlohmann::json::parse(line.value.begin(), line.value.end(), nullptr, false);
    if (!line.json.is_discarded() && at > 0) return line;
  }
  return std::nullopt;
}

}  // namespace

Status ParsePgBackRestInfo(std::string_view text, const std::string& where, const InfoLine& take) {
  OwnChecksum checksum;
  std::string_view section;
  std::string stored;
  bool has_format = false;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    const std::string_view raw = text.substr(at, end - at);
    const auto corrupt = [&](const char* why) {
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("{} is damaged at byte {}: {}", where, at, why));
    };
    if (raw.empty()) continue;
    if (raw[0] == '[' && raw.ends_with(']')) {
      section = raw.substr(1, raw.size() - 2);
      continue;
    }
    if (section.empty()) return corrupt("a line before any section");
    const auto line = ParseLine(raw);
    if (!line) return corrupt("a line without a key and a JSON value");
    const bool is_own = section == kOwnSection;
    if (is_own && line->key == "backrest-checksum" && line->json.is_string()) {
      stored = line->json.get<std::string>();
      continue;
    }
    checksum.AddLine(section, line->key, line->value);
    if (is_own && line->key == "backrest-format") {
      has_format = true;
      if (line->json != kFormat)
        return MakeError(
            ErrorCode::kUnsupported,
            fmt::format("{} has format {}, and only {} is known", where, line->value, kFormat));
    }
    RETURN_IF_ERROR(take(section, line->key, line->json));
  }
  const std::string computed = checksum.Finish();
  if (has_format && computed == stored) return {};
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("{} is damaged: its own checksum does not fit its content", where));
}

}  // namespace neon_redo

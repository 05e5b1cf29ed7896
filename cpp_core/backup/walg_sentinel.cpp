// files_metadata.json has an object for each file, and may be large: it is read by events, so that it never
// stands in memory as a tree. The sentinel is small, and its UserData may be anything.
#include "cpp_core/backup/walg_sentinel.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "cpp_core/backup/manifest.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

using Json = nlohmann::json;

tl::unexpected<Error> Damaged(const std::string& where, const std::string& why) {
  return MakeError(ErrorCode::kCorrupt, fmt::format("{} is damaged: {}", where, why));
}

// Go writes null for what is not set. Nothing: it is null, or not there.
Result<std::optional<uint64_t>> Number(const Json& object, const char* name,
                                       const std::string& where) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_number_unsigned()) return Damaged(where, fmt::format("{} is no number", name));
  return found->get<uint64_t>();
}

Result<std::string> Text(const Json& object, const char* name, const std::string& where) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return Damaged(where, fmt::format("{} is no text", name));
  return found->get<std::string>();
}

// {"base_prefix":"/data","tablespaces":["16400"],"16400":{"loc":"/far","link":"pg_tblspc/16400"}}
Result<std::map<uint32_t, std::string>> Tablespaces(const Json& sentinel,
                                                    const std::string& where) {
  std::map<uint32_t, std::string> out;
  const auto spec = sentinel.find("Spec");
  if (spec == sentinel.end() || !spec->is_object()) return out;
  for (const auto& [key, value] : spec->items()) {
    const auto oid = pg::ParseOid(key);
    if (!oid || !value.is_object()) continue;
    ASSIGN_OR_RETURN(out[*oid], Text(value, "loc", where));
  }
  return out;
}

// The events of nlohmann's parser. A function that returns false ends the parse.
class FilesReader {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  bool null() { return true; }
  bool boolean(bool value) {
    if (depth_ != kInFile || !is_in_files_) return true;
    if (key_ == "IsIncremented") is_increment_ = value;
    if (key_ == "IsSkipped") is_skipped_ = value;
    return true;
  }
  bool number_integer(number_integer_t) { return true; }
  bool number_unsigned(number_unsigned_t) { return true; }
  bool number_float(number_float_t, const string_t&) { return true; }
  bool string(string_t&) { return true; }
  bool binary(binary_t&) { return Fail("not JSON"); }
  bool key(string_t& text) {
    if (depth_ == kInFiles && is_in_files_)
      file_ = text;
    else
      key_ = text;
    return true;
  }
  bool start_object(std::size_t) {
    is_object = is_object || depth_ == 0;
    if (depth_ == kTop) is_in_files_ = key_ == "Files";
    if (depth_ == kInFiles && is_in_files_) is_increment_ = is_skipped_ = false;
    return Deeper();
  }
  bool end_object() {
    depth_--;
    if (depth_ == kInFiles && is_in_files_) return FinishFile();
    return true;
  }
  bool start_array(std::size_t) {
    if (depth_ == kTop) is_in_files_ = false;
    return Deeper();
  }
  bool end_array() {
    depth_--;
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const Json::exception&) {
    return Fail(fmt::format("not JSON at byte {}", at));
  }

  WalgFiles files;
  bool is_object = false;
  std::string problem;

 private:
  // How many objects and lists are open, where something is read.
  static constexpr int kTop = 1, kInFiles = 2, kInFile = 3, kMost = 64;

  bool Fail(std::string what) {
    if (problem.empty()) problem = std::move(what);
    return false;
  }
  bool Deeper() { return ++depth_ <= kMost || Fail("too many objects in each other"); }

  bool FinishFile() {
    std::string_view name = file_;
    if (name.starts_with('/')) name.remove_prefix(1);
    if (name.empty()) return true;  // the data directory
    if (!IsSafeRelativePath(name))
      return Fail(fmt::format("file \"{}\" would lie outside the backup", file_));
    if (is_increment_ && is_skipped_)
      return Fail(fmt::format("file \"{}\" is both an increment and left out", file_));
    const WalgFileState state = is_increment_ ? WalgFileState::kIncrement
                                : is_skipped_ ? WalgFileState::kSkipped
                                              : WalgFileState::kWhole;
    if (files.emplace(name, state).second) return true;
    return Fail(fmt::format("file \"{}\" is there twice", file_));
  }

  int depth_ = 0;
  bool is_in_files_ = false, is_increment_ = false, is_skipped_ = false;
  std::string key_, file_;
};

}  // namespace

bool IsWalgName(std::string_view text) {
  return text.starts_with("base_") && IsSafeRelativePath(text) && text.find('/') == text.npos;
}

Result<WalgSentinel> ParseWalgSentinel(std::string_view text, const std::string& where) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return Damaged(where, "it is no JSON object");
  WalgSentinel out;
  ASSIGN_OR_RETURN(const auto start, Number(json, "LSN", where));
  if (!start) return Damaged(where, "it has no LSN, where the backup began");
  out.start = Lsn(*start);
  ASSIGN_OR_RETURN(const auto finish, Number(json, "FinishLSN", where));
  if (finish) out.finish = Lsn(*finish);
  ASSIGN_OR_RETURN(out.from, Text(json, "DeltaFrom", where));
  if (!out.from.empty() && !IsWalgName(out.from))
    return Damaged(where, fmt::format("DeltaFrom is \"{}\", which is no backup", out.from));
  // The second is its name in old versions.
  for (const char* name : {"DeltaLSN", "DeltaFromLSN"}) {
    ASSIGN_OR_RETURN(const auto delta, Number(json, name, where));
    if (delta) out.delta = Lsn(*delta);
  }
  ASSIGN_OR_RETURN(out.system_identifier, Number(json, "SystemIdentifier", where));
  ASSIGN_OR_RETURN(const auto version, Number(json, "PgVersion", where));
  if (version.value_or(0) > UINT32_MAX) return Damaged(where, "PgVersion cannot be");
  out.pg_version = static_cast<uint32_t>(version.value_or(0));
  ASSIGN_OR_RETURN(out.tablespaces, Tablespaces(json, where));
  const auto disabled = json.find("FilesMetadataDisabled");
  out.has_no_files_metadata = disabled != json.end() && *disabled == true;
  return out;
}

Result<WalgFiles> ParseWalgFiles(std::string_view text, const std::string& where) {
  FilesReader reader;
  const bool is_json = Json::sax_parse(text.begin(), text.end(), &reader);
  if (is_json && !reader.is_object) return Damaged(where, "it is no JSON object");
  if (is_json) return std::move(reader.files);
  return Damaged(where, reader.problem.empty() ? "not JSON" : reader.problem);
}

}  // namespace neon_redo

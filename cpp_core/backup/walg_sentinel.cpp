// Both are read by events, so that they never stand in memory as a tree: files_metadata.json has an object for
// each file, and the sentinel's UserData may be anything.
#include "cpp_core/backup/walg_sentinel.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <type_traits>
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

// Nothing: it is not there.
Result<std::optional<uint64_t>> Number(const Json& object, const char* name,
                                       const std::string& where) {
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if (!found->is_number_unsigned()) return Damaged(where, fmt::format("{} is no number", name));
  return found->get<uint64_t>();
}

Result<std::string> Text(const Json& object, const char* name, const std::string& where) {
  const auto found = object.find(name);
  if (found == object.end()) return std::string();
  if (!found->is_string()) return Damaged(where, fmt::format("{} is no text", name));
  return found->get<std::string>();
}

// The events of nlohmann's parser, which pass over all that is not read. One that returns false ends the
// parse.
class JsonEvents {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(number_integer_t) { return true; }
  bool number_unsigned(number_unsigned_t) { return true; }
  bool number_float(number_float_t, const string_t&) { return true; }
  bool string(string_t&) { return true; }
  bool binary(binary_t&) { return Fail("not JSON"); }
  bool start_object(std::size_t) {
    is_object_ = is_object_ || depth_ == 0;
    return Deeper();
  }
  bool end_object() { return end_array(); }
  bool start_array(std::size_t) { return Deeper(); }
  bool end_array() {
    depth_--;
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const Json::exception&) {
    return Fail(fmt::format("not JSON at byte {}", at));
  }

  // After the parse.
  Status Finish(bool is_json, const std::string& where) const {
    if (!is_json) return Damaged(where, problem_.empty() ? "not JSON" : problem_);
    if (!is_object_) return Damaged(where, "it is no JSON object");
    return {};
  }

 protected:
  // How many objects and lists are open: in the outermost object, in one in it, and so on.
  static constexpr int kTop = 1, kSecond = 2, kThird = 3, kMost = 64;

  int depth() const { return depth_; }
  bool Fail(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
    return false;
  }

 private:
  bool Deeper() { return ++depth_ <= kMost || Fail("too many objects in each other"); }

  int depth_ = 0;
  bool is_object_ = false;
  std::string problem_;
};

// Keeps the fields that are read, and of tablespaces where they were:
// "Spec":{"base_prefix":"/data","tablespaces":["16400"],"16400":{"loc":"/far","link":"pg_tblspc/16400"}}
class SentinelReader : public JsonEvents {
 public:
  bool null() { return true; }  // Go writes it for what is not set
  bool boolean(bool value) { return Take(value); }
  bool number_integer(number_integer_t value) { return Take(value); }
  bool number_unsigned(number_unsigned_t value) { return Take(value); }
  bool number_float(number_float_t value, const string_t&) { return Take(value); }
  bool string(string_t& value) { return Take(value); }
  bool key(string_t& text) {
    if (depth() == kTop) field_ = text;
    if (depth() == kSecond) tablespace_ = is_in_spec_ ? pg::ParseOid(text) : std::nullopt;
    is_location_ = depth() == kThird && tablespace_ && text == "loc";
    return true;
  }
  bool start_object(std::size_t size) {
    if (!Take(Json::object())) return false;
    if (depth() == kTop) is_in_spec_ = field_ == "Spec";
    if (depth() == kSecond && tablespace_ && tablespaces.size() >= kMostTablespaces)
      return Fail("too many tablespaces");
    if (depth() == kSecond && tablespace_) tablespaces[*tablespace_];
    return JsonEvents::start_object(size);
  }
  bool start_array(std::size_t size) {
    if (!Take(Json::array())) return false;
    if (depth() == kTop) is_in_spec_ = false;
    if (depth() == kSecond) tablespace_.reset();
    return JsonEvents::start_array(size);
  }

  Json fields = Json::object();
  std::map<uint32_t, std::string> tablespaces;

 private:
  static constexpr size_t kMostTablespaces = 100'000;

  template <typename T>
  bool Take(const T& value) {
    if (depth() == kTop && IsRead(field_)) fields[field_] = value;
    if (depth() != kThird || !is_location_) return true;
    is_location_ = false;
    if constexpr (std::is_same_v<T, std::string>) {
      tablespaces[*tablespace_] = value;
      return true;
    } else {
      return Fail("loc is no text");
    }
  }
  static bool IsRead(std::string_view field) {
    constexpr std::string_view kFields[] = {
        "Version",      "LSN",       "DeltaFrom",        "DeltaLSN",
        "DeltaFromLSN", "PgVersion", "SystemIdentifier", "FilesMetadataDisabled"};
    return std::find(std::begin(kFields), std::end(kFields), field) != std::end(kFields);
  }

  std::string field_;  // of the outermost object
  bool is_in_spec_ = false, is_location_ = false;
  std::optional<uint32_t> tablespace_;  // in whose object the parser is
};

// "Files":{"/base/5/1":{"IsIncremented":false,"IsSkipped":false,"MTime":"…","UpdatesCount":0}}
class FilesReader : public JsonEvents {
 public:
  explicit FilesReader(size_t most) : most_(most) {}

  bool boolean(bool value) {
    if (depth() != kThird || !is_in_files_) return true;
    if (field_ == "IsIncremented") is_increment_ = value;
    if (field_ == "IsSkipped") is_skipped_ = value;
    return true;
  }
  bool key(string_t& text) {
    if (depth() == kSecond && is_in_files_)
      file_ = text;
    else
      field_ = text;
    return true;
  }
  bool start_object(std::size_t size) {
    if (depth() == kTop) is_in_files_ = field_ == "Files";
    if (depth() == kSecond && is_in_files_) is_increment_ = is_skipped_ = false;
    return JsonEvents::start_object(size);
  }
  bool end_object() {
    JsonEvents::end_object();
    return depth() != kSecond || !is_in_files_ || FinishFile();
  }
  bool start_array(std::size_t size) {
    if (depth() == kTop) is_in_files_ = false;
    return JsonEvents::start_array(size);
  }

  WalgFiles files;

 private:
  bool FinishFile() {
    std::string_view name = file_;
    if (name.starts_with('/')) name.remove_prefix(1);
    if (name.empty()) return true;  // the data directory
    if (!IsSafeRelativePath(name))
      return Fail(fmt::format("file \"{}\" would lie outside the backup", file_));
    if (is_increment_ && is_skipped_)
      return Fail(fmt::format("file \"{}\" is both an increment and left out", file_));
    if (files.size() >= most_) return Fail(fmt::format("it has more than {} files", most_));
    const WalgFileState state = is_increment_ ? WalgFileState::kIncrement
                                : is_skipped_ ? WalgFileState::kSkipped
                                              : WalgFileState::kWhole;
    if (files.emplace(name, state).second) return true;
    return Fail(fmt::format("file \"{}\" is there twice", file_));
  }

  const size_t most_;
  bool is_in_files_ = false, is_increment_ = false, is_skipped_ = false;
  std::string field_, file_;
};

}  // namespace

bool IsWalgName(std::string_view text) {
  return text.starts_with("base_") && IsSafeRelativePath(text) && text.find('/') == text.npos;
}

Result<WalgSentinel> ParseWalgSentinel(std::string_view text, const std::string& where) {
  SentinelReader reader;
  RETURN_IF_ERROR(reader.Finish(Json::sax_parse(text.begin(), text.end(), &reader), where));
  const Json& json = reader.fields;
  WalgSentinel out;
  ASSIGN_OR_RETURN(const auto start, Number(json, "LSN", where));
  if (!start) return Damaged(where, "it has no LSN, where the backup began");
  out.start = Lsn(*start);
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
  ASSIGN_OR_RETURN(const auto format, Number(json, "Version", where));
  out.has_own_file_list = format.value_or(0) >= 2;
  out.tablespaces = std::move(reader.tablespaces);
  const auto disabled = json.find("FilesMetadataDisabled");
  out.has_no_files_metadata = disabled != json.end() && *disabled == true;
  return out;
}

Result<WalgFiles> ParseWalgFiles(std::string_view text, const std::string& where, size_t most) {
  FilesReader reader(most);
  RETURN_IF_ERROR(reader.Finish(Json::sax_parse(text.begin(), text.end(), &reader), where));
  return std::move(reader.files);
}

}  // namespace neon_redo

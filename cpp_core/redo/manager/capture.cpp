#include "cpp_core/redo/manager/capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/pg/version.h"

namespace neon_redo {

namespace {

constexpr std::string_view kFirstLine = "neon-redo capture 1";
constexpr std::string_view kSuffix = ".redo";
constexpr const char* kKinds[] = {"read", "compaction", "garbage_collection"};

// The values of a page-server record, one word each, after its name.
struct NativeWords {
  static std::string Optional(const std::optional<uint32_t>& value) {
    return value ? fmt::format(" {}", *value) : " -";
  }
  std::string operator()(const ClearVisibilityMapFlags& r) const {
    return Optional(r.new_heap_block) + Optional(r.old_heap_block) + fmt::format(" {}", r.flags);
  }
  std::string operator()(const TruncateVisibilityMap& r) const {
    return fmt::format(" {} {}", r.byte, r.bit);
  }
  std::string operator()(const ClogSetCommitted& r) const {
    return fmt::format(" {}", r.timestamp) + Numbers(r.xids);
  }
  std::string operator()(const ClogSetAborted& r) const { return Numbers(r.xids); }
  std::string operator()(const MultixactOffsetCreate& r) const {
    return fmt::format(" {} {}", r.multixact, r.offset);
  }
  std::string operator()(const MultixactMembersCreate& r) const {
    std::string text = fmt::format(" {}", r.offset);
    for (const MultixactMember& m : r.members) text += fmt::format(" {} {}", m.xid, m.status);
    return text;
  }
  static std::string Numbers(const std::vector<uint32_t>& numbers) {
    std::string text;
    for (uint32_t number : numbers) text += fmt::format(" {}", number);
    return text;
  }
};

// Takes words off a line. The first that does not fit makes everything after it fail.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}

  std::string_view Word() {
    const size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return word;
  }
  template <typename T>
  T Number() {
    T value{};
    const std::string_view word = Word();
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) fine_ = false;
    return value;
  }
  std::optional<uint32_t> OptionalNumber() {
    if (rest_.substr(0, 1) != "-") return Number<uint32_t>();
    if (Word() != "-") fine_ = false;
    return std::nullopt;
  }
  std::vector<uint32_t> Numbers() {
    std::vector<uint32_t> numbers;
    while (more()) numbers.push_back(Number<uint32_t>());
    return numbers;
  }
  bool more() const { return fine_ && !rest_.empty(); }
  bool done() const { return fine_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool fine_ = true;
};

std::optional<PageServerRecord> ParseNative(std::string_view name, Words* words) {
  if (name == "ClearVisibilityMapFlags") {
    ClearVisibilityMapFlags r;
    r.new_heap_block = words->OptionalNumber();
    r.old_heap_block = words->OptionalNumber();
    r.flags = words->Number<uint8_t>();
    return r;
  }
  if (name == "TruncateVisibilityMap") {
    TruncateVisibilityMap r;
    r.byte = words->Number<uint32_t>();
    r.bit = words->Number<uint8_t>();
    return r;
  }
  if (name == "ClogSetCommitted") {
    ClogSetCommitted r;
    r.timestamp = words->Number<int64_t>();
    r.xids = words->Numbers();
    return r;
  }
  if (name == "ClogSetAborted") return ClogSetAborted{words->Numbers()};
  if (name == "MultixactOffsetCreate") {
    MultixactOffsetCreate r;
    r.multixact = words->Number<uint32_t>();
    r.offset = words->Number<uint32_t>();
    return r;
  }
  if (name == "MultixactMembersCreate") {
    MultixactMembersCreate r;
    r.offset = words->Number<uint32_t>();
    while (words->more()) {
      const auto xid = words->Number<uint32_t>();
      r.members.push_back({xid, words->Number<uint32_t>()});
    }
    return r;
  }
  return std::nullopt;
}

// Reads the text part line by line.
class Parser {
 public:
  explicit Parser(CapturedRequest* out) : out_(*out), text_(out->bytes) {}

  Status Parse() {
    if (Line() != kFirstLine) return Fault("this is not a capture");
    for (;;) {
      const std::string_view line = Line();
      if (line.empty()) break;
      if (!Item(line)) return Fault("could not read this line");
    }
    return Fill();
  }

 private:
  std::string_view Line() {
    ++number_;
    const size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) return "no line";
    const std::string_view line = text_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }

  Status Fault(const char* what) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("line {} of the capture: {}", number_, what));
  }

  bool Item(std::string_view line) {
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return false;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 2);
    Words words(value);
    if (name == "error") {
      out_.error = value;
      return true;
    }
    if (name == "key") {
      const Result<PageKey> key = PageKey::Parse(value);
      if (key) out_.request.key = *key;
      return key.has_value();
    }
    if (name == "lsn") return ReadLsn(value, &out_.request.lsn);
    if (name == "kind") {
      const auto at = std::find(std::begin(kKinds), std::end(kKinds), value);
      out_.request.kind = static_cast<AttemptKind>(at - std::begin(kKinds));
      return at != std::end(kKinds);
    }
    if (name == "base") {
      base_size_ = words.Number<size_t>();
      return words.done();
    }
    if (name == "version") {
      out_.version = pg::FindVersionByMajor(words.Number<int>());
      return words.done() && out_.version != nullptr;
    }
    return name == "record" && Record(&words);
  }

  static bool ReadLsn(std::string_view text, Lsn* lsn) {
    const Result<Lsn> parsed = Lsn::Parse(text);
    if (parsed) *lsn = *parsed;
    return parsed.has_value();
  }

  bool Record(Words* words) {
    PageRecord record;
    if (!ReadLsn(words->Word(), &record.lsn)) return false;
    const std::string_view name = words->Word();
    size_t size = 0;
    if (name == "postgres") {
      record.record = PostgresRecord{words->Number<int>() != 0, {}};
      size = words->Number<size_t>();
    } else if (std::optional<PageServerRecord> native = ParseNative(name, words)) {
      record.record = std::move(*native);
    } else {
      return false;
    }
    out_.records.push_back(std::move(record));
    sizes_.push_back(size);
    return words->done();
  }

  // The views of the bytes after the text.
  Status Fill() {
    const auto take = [this](size_t size, Bytes* out) {
      if (text_.size() - at_ < size) return false;
      *out = Bytes(reinterpret_cast<const uint8_t*>(text_.data()) + at_, size);
      at_ += size;
      return true;
    };
    bool fine = take(base_size_, &out_.request.base_image);
    for (size_t i = 0; fine && i < sizes_.size(); ++i) {
      if (auto* postgres = std::get_if<PostgresRecord>(&out_.records[i].record)) {
        fine = take(sizes_[i], &postgres->record);
      }
    }
    if (!fine || at_ != text_.size()) {
      return MakeError(ErrorCode::kCorrupt,
                       "the capture does not have the bytes that its text announces");
    }
    out_.request.records = out_.records;
    return {};
  }

  CapturedRequest& out_;
  const std::string_view text_;
  size_t at_ = 0;
  int number_ = 0;
  size_t base_size_ = 0;
  std::vector<size_t> sizes_;
};

void AppendBytes(Bytes bytes, std::string* text) {
  text->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

std::string FormatCapture(const PageRequest& request, const Error& error,
                          const pg::Version& version) {
  std::string message = error.message;
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::string text =
      fmt::format("{}\nerror: {}\nkey: {}\nlsn: {}\nkind: {}\nbase: {}\n", kFirstLine, message,
                  request.key.ToString(), request.lsn.ToString(),
                  kKinds[static_cast<size_t>(request.kind)], request.base_image.size());
  text += fmt::format("version: {}\n", version.major);
  for (const PageRecord& record : request.records) {
    text += fmt::format("record: {} ", record.lsn.ToString());
    if (const auto* postgres = std::get_if<PostgresRecord>(&record.record)) {
      text += fmt::format("postgres {} {}\n", postgres->will_init ? 1 : 0, postgres->record.size());
    } else {
      const auto& native = std::get<PageServerRecord>(record.record);
      text += PageServerRecordName(native) + std::visit(NativeWords(), native) + "\n";
    }
  }
  text += '\n';
  AppendBytes(request.base_image, &text);
  for (const PageRecord& record : request.records) {
    if (const auto* postgres = std::get_if<PostgresRecord>(&record.record)) {
      AppendBytes(postgres->record, &text);
    }
  }
  return text;
}

Result<std::unique_ptr<CapturedRequest>> ParseCapture(std::string text) {
  auto captured = std::make_unique<CapturedRequest>();
  captured->bytes = std::move(text);
  captured->version = pg::FindVersionByMajor(15);
  RETURN_IF_ERROR(Parser(captured.get()).Parse());
  RETURN_IF_ERROR(pg::CheckTested(*captured->version, "the capture"));
  return captured;
}

Result<std::unique_ptr<CapturedRequest>> ReadCapture(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) {
    const int error = errno;
    return MakeError(file.is_open() || error != ENOENT ? ErrnoCode(error) : ErrorCode::kNotFound,
                     fmt::format("could not read \"{}\": {}", path, std::strerror(error)));
  }
  Result<std::unique_ptr<CapturedRequest>> captured = ParseCapture(std::move(text));
  if (captured) return captured;
  return MakeError(captured.error().code,
                   fmt::format("\"{}\": {}", path, captured.error().message));
}

FailureCapture::FailureCapture(std::string directory, size_t max_files, uint64_t max_bytes,
                               const pg::Version& version)
    : directory_(std::move(directory)),
      max_files_(max_files),
      max_bytes_(max_bytes),
      version_(version) {}

std::string FailureCapture::Keep(const PageRequest& request, const Error& error) {
  if (directory_.empty() || error.code == ErrorCode::kShutdown) return "";
  std::lock_guard<std::mutex> lock(mutex_);
  size_t files = 0;
  uint64_t bytes = 0;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failed)) {
    if (!entry.path().string().ends_with(kSuffix)) continue;
    ++files;
    bytes += entry.file_size(failed);
  }
  if (failed || files >= max_files_ || bytes >= max_bytes_) return "";
  const std::string text = FormatCapture(request, error, version_);
  if (bytes + text.size() > max_bytes_) return "";
  const std::string path = fmt::format("{}/{}-{}-{}-{}{}", directory_, request.key.ToString(),
                                       request.lsn.value, getpid(), serial_++, kSuffix);
  // Pages are a user's data: no other user may read them.
  const FileDescriptor fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return "";
  if (write(fd.get(), text.data(), text.size()) == std::ssize(text)) return path;
  unlink(path.c_str());
  return "";
}

}  // namespace neon_redo

// Opening a directory takes two passes. The first reads the long page header of every segment and
// counts what they claim (system identifier, segment size, version); the most frequent claim is
// what the directory holds. The second pass judges each segment by it. So one foreign file among
// many does not change what the others are, and is the one that gets named.
#include "cpp_core/wal/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/pg/wal_page.h"
#include "cpp_core/wal/timeline_history.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr size_t kNameLength = 24;
constexpr int kTries = 10;  // while files are renamed
constexpr const char* kCompressedSuffixes[] = {".gz",  ".lz4", ".zst",  ".bz2", ".xz", ".lzma",
                                               ".lzo", ".br",  ".zstd", ".Z",   ".sz"};

bool ParseHex8(std::string_view digits, uint32_t* out) {
  uint32_t value = 0;
  for (char c : digits) {
    uint32_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return false;
    }
    value = value << 4 | digit;
  }
  *out = value;
  return true;
}

uint64_t SegmentsPerLog(uint32_t segment_size) { return (uint64_t{1} << 32) / segment_size; }

// Reads up to kLongPageHeaderSize bytes of the file and its size. kNotFound: no file has the name.
Status ReadHead(const std::string& path, uint8_t* out, size_t* length, uint64_t* file_size) {
  // Without O_NONBLOCK a FIFO of that name would be waited for.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const bool missing = errno == ENOENT;
    auto error = FileError("open file", path);
    if (missing) error.value().code = ErrorCode::kNotFound;
    return error;
  }
  struct stat st;
  const bool known = fstat(fd, &st) == 0;
  const bool regular = known && S_ISREG(st.st_mode);
  const ssize_t n = regular ? pread(fd, out, kLongPageHeaderSize, 0) : -1;
  const int error = errno;
  close(fd);
  if (known && !regular)
    return MakeError(ErrorCode::kIo,
                     fmt::format("\"{}\" has the name of a WAL segment, but is not a "
                                 "regular file",
                                 path));
  if (n < 0)
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not read file \"{}\": {}", path, strerror(error)));
  *length = static_cast<size_t>(n);
  *file_size = static_cast<uint64_t>(st.st_size);
  return {};
}

}  // namespace

std::optional<SegmentName> ParseSegmentName(std::string_view name) {
  SegmentName out;
  out.partial = name.ends_with(kPartialSuffix);
  if (out.partial) name.remove_suffix(kPartialSuffix.size());
  if (name.size() != kNameLength || !ParseHex8(name.substr(0, 8), &out.timeline) ||
      !ParseHex8(name.substr(8, 8), &out.log) || !ParseHex8(name.substr(16), &out.segment))
    return std::nullopt;
  return out;
}

std::optional<CompressedName> ParseCompressedName(std::string_view name) {
  if (name.size() <= kNameLength || name[kNameLength] != '.') return std::nullopt;
  const auto segment = ParseSegmentName(name.substr(0, kNameLength));
  if (!segment) return std::nullopt;
  CompressedName out{*segment, name.substr(kNameLength)};
  out.segment.partial = out.suffix.ends_with(kPartialSuffix);
  if (out.segment.partial) out.suffix.remove_suffix(kPartialSuffix.size());
  for (const char* suffix : kCompressedSuffixes) {
    if (out.suffix == suffix) return out;
  }
  return std::nullopt;
}

const char* CompressionOf(Bytes head) {
  struct Magic {
    std::string_view bytes;
    const char* name;
  };
  using namespace std::string_view_literals;
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  for (const Magic& magic : {Magic{"\x1f\x8b"sv, "gzip"}, Magic{"\x04\x22\x4d\x18"sv, "lz4"},
                             Magic{"\x28\xb5\x2f\xfd"sv, "zstd"}, Magic{"BZh"sv, "bzip2"},
                             Magic{"\xfd"
                                   "7zXZ\0"sv,
                                   "xz"},
                             Magic{"\x89LZO\0"sv, "lzop"}, Magic{"\x1f\x9d"sv, "compress"}}) {
    if (text.starts_with(magic.bytes)) return magic.name;
  }
  return nullptr;
}

std::string FormatSegmentName(uint32_t timeline, uint64_t number, uint32_t segment_size) {
  const uint64_t per_log = SegmentsPerLog(segment_size);
  return fmt::format("{:08X}{:08X}{:08X}", timeline, number / per_log, number % per_log);
}

// A server or a receiver renames, recycles and removes segments at any moment: what was listed may
// have another name by the time its head is read.
Result<WalDirectory> WalDirectory::Open(const std::string& path) {
  for (int left = kTries;; left--) {
    WalDirectory directory;
    RETURN_IF_ERROR(directory.ListSegments(path));
    const Status read = directory.ReadHeads();
    if (read) return directory;
    if (read.error().code != ErrorCode::kNotFound) return tl::unexpected(read.error());
    // A name whose file is never there: a symbolic link to nothing.
    if (left == 1) return MakeError(ErrorCode::kIo, read.error().message);
  }
}

Status WalDirectory::ListSegments(const std::string& path) {
  RETURN_IF_ERROR(List(path));
  if (segments_.empty()) {
    const std::string inner = path + "/pg_wal";
    struct stat st;
    if (stat(inner.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      RETURN_IF_ERROR(List(inner));
    }
  }
  if (!segments_.empty()) return {};
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("no WAL segments in directory \"{}\"{}", path,
                               compressed_.empty()
                                   ? ""
                                   : ": its segments are compressed, such as \"" +
                                         compressed_.front().file + "\"; decompress them first"));
}

Status WalDirectory::List(const std::string& path) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(path));
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  path_ = path;
  for (const std::string& name : names) {
    if (auto parsed = ParseSegmentName(name)) {
      Segment segment{};
      segment.path = fmt::format("{}/{}", path, name);
      segment.timeline = parsed->timeline;
      segments_.push_back(std::move(segment));
      names_.push_back(*parsed);
    } else if (const auto compressed = ParseCompressedName(name)) {
      compressed_.push_back({name, compressed->segment});
    }
  }
  std::sort(compressed_.begin(), compressed_.end(),
            [](const Compressed& a, const Compressed& b) { return a.file < b.file; });
  return {};
}

Status WalDirectory::ReadHeads() {
  struct Raw {
    uint8_t bytes[kLongPageHeaderSize];
    size_t length;
  };
  std::vector<Raw> raw(segments_.size());
  std::map<std::tuple<uint64_t, uint32_t, const pg::Version*>, size_t> votes;
  size_t first = 0;
  for (size_t i = 0; i < segments_.size(); i++) {
    RETURN_IF_ERROR(
        ReadHead(segments_[i].path, raw[i].bytes, &raw[i].length, &segments_[i].file_size));
    WalSegmentHead head;
    if (head.Load(Bytes(raw[i].bytes, raw[i].length)) && head.IsOfAnySegment())
      votes[{head.segment.system_identifier, head.segment.segment_size,
             pg::FindVersionByWalMagic(head.page.magic)}]++;
    if (segments_[i].path < segments_[first].path) first = i;
  }
  if (votes.empty()) {
    // Without a header only the file's own size can show which LSN its name means.
    const Segment& s = segments_[first];
    identity_.segment_size =
        IsValidSegmentSize(s.file_size) ? static_cast<uint32_t>(s.file_size) : uint32_t{16} << 20;
    Segment judged = s;
    judged.number = names_[first].log * SegmentsPerLog(segment_size()) + names_[first].segment;
    Judge(&judged, raw[first].bytes, raw[first].length);
    const char* state = judged.head == SegmentHead::kZero    ? "it holds only zeroes"
                        : judged.head == SegmentHead::kShort ? "it ends inside its page header"
                                                             : judged.problem.c_str();
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("no file in \"{}\" is a PostgreSQL {} WAL segment: the first is "
                                 "\"{}\" (LSN {} by its name): {}",
                                 path_, pg::SupportedMajors(), s.path,
                                 SegmentStart(judged.number).ToString(), state));
  }
  const auto winner = std::max_element(votes.begin(), votes.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
  std::tie(identity_.system_identifier, identity_.segment_size, identity_.version) = winner->first;
  RETURN_IF_ERROR(pg::CheckTested(*identity_.version, fmt::format("the WAL in \"{}\"", path_)));

  for (size_t i = 0; i < segments_.size(); i++) {
    const SegmentName& name = names_[i];
    segments_[i].number = name.log * SegmentsPerLog(segment_size()) + name.segment;
    Judge(&segments_[i], raw[i].bytes, raw[i].length);
    if (name.segment >= SegmentsPerLog(segment_size())) {
      segments_[i].head = SegmentHead::kForeign;
      segments_[i].problem =
          fmt::format("no segment of {} bytes has this file name", segment_size());
    }
  }
  // "X" sorts before "X.partial": where both are there, the whole one stays.
  auto key = [](const Segment& s) { return std::tie(s.timeline, s.number); };
  std::sort(segments_.begin(), segments_.end(), [&](const Segment& a, const Segment& b) {
    return std::tuple_cat(key(a), std::tie(a.path)) < std::tuple_cat(key(b), std::tie(b.path));
  });
  segments_.erase(std::unique(segments_.begin(), segments_.end(),
                              [&](const Segment& a, const Segment& b) { return key(a) == key(b); }),
                  segments_.end());
  for (const Segment& s : segments_) {
    if (timelines_.empty() || timelines_.back() != s.timeline) timelines_.push_back(s.timeline);
  }
  names_.clear();
  return {};
}

void WalDirectory::Judge(Segment* segment, const uint8_t* bytes, size_t length) const {
  segment->head = SegmentHead::kForeign;
  // Without a version none of the directory's segments has a good header.
  const bool is_known = identity_.version != nullptr;
  const WalPagePlace place{SegmentStart(segment->number), segment_size(),
                           is_known ? identity_.version->wal_magic : uint16_t{0}, 0,
                           segment->timeline};
  WalSegmentHead head;
  if (segment->file_size > segment_size()) {
    segment->problem =
        fmt::format("it has {} bytes, a segment has {}", segment->file_size, segment_size());
  } else if (!head.Load(Bytes(bytes, length))) {
    segment->head = SegmentHead::kShort;
  } else if (std::all_of(bytes, bytes + length, [](uint8_t b) { return b == 0; })) {
    segment->head = SegmentHead::kZero;
  } else if (const char* compression = CompressionOf(Bytes(bytes, length))) {
    segment->problem = fmt::format("it is compressed ({}); decompress it first", compression);
  } else {
    JudgeHead(segment, head, CheckWalPageHeader(head.page, place));
  }
}

// A page header that fits but for the address may be that of a recycled segment.
void WalDirectory::JudgeHead(Segment* segment, const WalSegmentHead& head,
                             WalPageFault fault) const {
  const Lsn start = SegmentStart(segment->number);
  const WalPageFault long_fault =
      identity_.version == nullptr
          ? WalPageFault::kNone
          : CheckWalLongPageHeader(head.segment, system_identifier(), segment_size());
  if (fault == WalPageFault::kUnknownMagic) {
    segment->problem =
        fmt::format("page magic {:04X}, expected {}", head.page.magic, pg::SupportedWalMagics());
  } else if (fault == WalPageFault::kOtherVersion) {
    segment->problem = fmt::format("page magic {:04X}, the other segments are of PostgreSQL {}",
                                   head.page.magic, version().major);
  } else if (fault == WalPageFault::kFlags || fault == WalPageFault::kHeaderKind) {
    segment->problem =
        fmt::format("page flags {:04X} are not those of a segment's first page", head.page.info);
  } else if (long_fault == WalPageFault::kSystemIdentifier) {
    segment->problem = fmt::format("it is of system {}, the other segments are of system {}",
                                   head.segment.system_identifier, system_identifier());
  } else if (head.segment.segment_size != segment_size()) {
    segment->problem =
        fmt::format("its page header says segments of {} bytes, the other segments say {}",
                    head.segment.segment_size, segment_size());
  } else if (head.segment.page_size != kWalPageSize) {
    segment->problem = fmt::format("its page header says WAL pages of {} bytes, expected {}",
                                   head.segment.page_size, kWalPageSize);
  } else if (fault == WalPageFault::kLaterTimeline) {
    segment->problem = fmt::format("its first page is of timeline {}, its file name of timeline {}",
                                   head.page.timeline, segment->timeline);
  } else if (fault == WalPageFault::kNone) {
    segment->head = SegmentHead::kWal;
    segment->head_timeline = head.page.timeline;
  } else if (head.page.address % segment_size() == 0 &&
             (head.page.address < start.value || head.page.timeline < segment->timeline)) {
    segment->head = SegmentHead::kStale;
  } else {
    segment->problem = fmt::format("its first page has address {}, expected {}",
                                   Lsn(head.page.address).ToString(), start.ToString());
  }
}

uint64_t WalDirectory::NumberOf(const SegmentName& name) const {
  return name.log * SegmentsPerLog(segment_size()) + name.segment;
}

bool WalDirectory::IsThere(const SegmentName& name) const {
  const auto key = [](const Segment& s) { return std::pair(s.timeline, s.number); };
  const std::pair wanted(name.timeline, NumberOf(name));
  const auto at =
      std::lower_bound(segments_.begin(), segments_.end(), wanted,
                       [&](const Segment& s, const auto& sought) { return key(s) < sought; });
  return at != segments_.end() && key(*at) == wanted;
}

static tl::unexpected<Error> CompressedError(const std::string& file) {
  return MakeError(ErrorCode::kUnsupported,
                   fmt::format("WAL segment \"{}\" is compressed; decompress it first", file));
}

Status WalDirectory::RefuseCompressed(const std::vector<Segment>& line,
                                      std::optional<uint32_t> timeline, std::optional<Lsn> from,
                                      std::optional<Lsn> to) const {
  if (compressed_.empty()) return {};
  uint32_t newest = timeline.value_or(0);
  for (const Segment& s : line) newest = std::max(newest, s.timeline);
  ASSIGN_OR_RETURN(const auto branches, Descent(newest));
  const auto is_of_line = [&](const SegmentName& name) {
    // Without a choice the highest timeline is the one.
    if (name.timeline > newest) return !timeline.has_value();
    for (size_t i = 0; i < branches.size(); i++) {
      if (branches[i].timeline != name.timeline) continue;
      const uint64_t end = i + 1 < branches.size() ? branches[i + 1].first_segment : ~uint64_t{0};
      return NumberOf(name) >= branches[i].first_segment && NumberOf(name) < end;
    }
    return false;
  };
  for (const Compressed& c : compressed_) {
    const uint64_t number = NumberOf(c.name);
    if (from && number < from->value / segment_size()) continue;
    if (to && number * segment_size() >= to->value) continue;
    if (is_of_line(c.name) && !IsThere(c.name)) return CompressedError(c.file);
  }
  return {};
}

Result<std::optional<Segment>> WalDirectory::Look(uint32_t timeline, uint64_t number) const {
  const std::string whole =
      fmt::format("{}/{}", path_, FormatSegmentName(timeline, number, segment_size()));
  // NAME once more, if it was NAME.partial until the first look had passed.
  for (const std::string_view suffix : {std::string_view(), kPartialSuffix, std::string_view()}) {
    Segment segment{};
    segment.path = fmt::format("{}{}", whole, suffix);
    segment.timeline = timeline;
    segment.number = number;
    uint8_t head[kLongPageHeaderSize];
    size_t length;
    const Status read = ReadHead(segment.path, head, &length, &segment.file_size);
    if (!read && read.error().code == ErrorCode::kNotFound) continue;
    RETURN_IF_ERROR(read);
    Judge(&segment, head, length);
    return segment;
  }
  for (const char* suffix : kCompressedSuffixes) {
    if (access((whole + suffix).c_str(), F_OK) == 0) return CompressedError(whole + suffix);
  }
  return std::nullopt;
}

Result<std::vector<WalDirectory::Branch>> WalDirectory::Descent(uint32_t timeline) const {
  std::vector<Branch> branches;
  const std::string path = fmt::format("{}/{}", path_, FormatHistoryName(timeline));
  const auto content = ReadHistoryFile(path);
  if (!content && content.error().code != ErrorCode::kNotFound)
    return tl::unexpected(content.error());
  if (!content) {
    for (const Segment& s : segments_) {
      if (s.timeline <= timeline && (branches.empty() || branches.back().timeline != s.timeline))
        branches.push_back({s.timeline, s.number});
    }
    if (!branches.empty()) branches.front().first_segment = 0;
    // A branch that starts before an earlier one's start has no part in this line.
    for (size_t i = branches.size(); i-- > 1;) {
      if (branches[i - 1].first_segment >= branches[i].first_segment)
        branches.erase(branches.begin() + static_cast<long>(i - 1));
    }
    return branches;
  }
  ASSIGN_OR_RETURN(const auto forks, ParseTimelineHistory(*content, timeline, path));
  uint64_t begin = 0;
  for (const TimelineFork& fork : forks) {
    branches.push_back({fork.timeline, begin});
    begin = fork.end.value / segment_size();
  }
  branches.push_back({timeline, begin});
  return branches;
}

Result<std::vector<Segment>> WalDirectory::LineOf(uint32_t timeline) const {
  ASSIGN_OR_RETURN(auto branches, Descent(timeline));
  std::vector<Segment> line;
  for (size_t i = 0; i < branches.size(); i++) {
    const Branch& b = (branches)[i];
    const uint64_t end = i + 1 < branches.size() ? (branches)[i + 1].first_segment : ~uint64_t{0};
    for (const Segment& s : segments_) {
      if (s.timeline == b.timeline && s.number >= b.first_segment && s.number < end)
        line.push_back(s);
    }
  }
  return line;
}

Result<std::vector<Segment>> WalDirectory::Line(std::optional<uint32_t> timeline,
                                                std::optional<Lsn> from) const {
  const uint64_t wanted = from ? from->value / segment_size() : 0;
  for (size_t i = timelines_.size(); i-- > 0;) {
    if (timeline && timelines_[i] != *timeline) continue;
    auto line = LineOf(timelines_[i]);
    if (!line || !from) return line;
    const bool covered = std::any_of(line->begin(), line->end(),
                                     [&](const Segment& s) { return s.number == wanted; });
    if (covered) {
      std::erase_if(*line, [&](const Segment& s) { return s.number < wanted; });
      return line;
    }
  }
  for (const Compressed& c : compressed_) {
    if ((!timeline || c.name.timeline == *timeline) && (!from || NumberOf(c.name) == wanted))
      return CompressedError(c.file);
  }
  if (timeline && !std::binary_search(timelines_.begin(), timelines_.end(), *timeline))
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("no segments of timeline {} in \"{}\"", *timeline, path_));
  return MakeError(
      ErrorCode::kNotFound,
      fmt::format("no segment in \"{}\" has LSN {}: file \"{}\" is missing", path_,
                  from->ToString(),
                  FormatSegmentName(timeline.value_or(timelines_.back()), wanted, segment_size())));
}

}  // namespace neon_redo

// A page header that fits but for the address may be that of a recycled segment.
#include "cpp_core/archive/segment.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpp_core/archive/decryption.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr size_t kNameLength = 24;

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

// "file "PATH" is damaged" becomes "it is damaged": who says so names the file.
std::string WithoutFile(const std::string& message, const std::string& path) {
  const std::string file = fmt::format("file \"{}\"", path);
  return message.starts_with(file) ? "it" + message.substr(file.size()) : message;
}

// The suffix of a compressed file's name, unless what it holds is WAL all the same.
std::string_view SuffixUnlessWal(const std::string& path, const FileStart& start) {
  const auto archived = ParseArchivedName(std::string_view(path).substr(path.rfind('/') + 1));
  WalSegmentHead head;
  const bool is_wal = head.Load(Bytes(start.bytes, start.length)) && head.IsOfAnySegment();
  return archived && !is_wal ? archived->suffix : std::string_view();
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
  if (!IsCompressedSuffix(out.suffix)) return std::nullopt;
  return out;
}

std::optional<ArchivedName> ParseArchivedName(std::string_view name) {
  constexpr size_t kSha1Length = 40;
  if (const auto plain = ParseSegmentName(name)) return ArchivedName{*plain, {}, {}};
  if (const auto compressed = ParseCompressedName(name))
    return ArchivedName{compressed->segment, compressed->suffix, {}};
  const auto segment = ParseSegmentName(name.substr(0, kNameLength));
  if (!segment) return std::nullopt;
  ArchivedName out{*segment, name.substr(kNameLength), {}};
  if (out.suffix.starts_with(kPartialSuffix)) {
    out.segment.partial = true;
    out.suffix.remove_prefix(kPartialSuffix.size());
  }
  if (out.suffix.starts_with('-')) {
    out.sha1 = out.suffix.substr(1, kSha1Length);
    if (out.sha1.size() != kSha1Length ||
        out.sha1.find_first_not_of("0123456789abcdef") != std::string_view::npos)
      return std::nullopt;
    out.suffix.remove_prefix(1 + kSha1Length);
    if (out.suffix.empty()) return out;
  }
  if (!IsCompressedSuffix(out.suffix)) return std::nullopt;
  return out;
}

const char* CompressionOf(Bytes head) {
  if (const Packing packing = PackingOf(head); packing != Packing::kNone)
    return PackingName(packing);
  using namespace std::string_view_literals;
  // By programs whose files are not read.
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  if (text.starts_with("\x89LZO\0"sv)) return "lzop";
  return text.starts_with("\x1f\x9d") ? "compress" : nullptr;
}

tl::unexpected<Error> CompressedError(const std::string& path) {
  return MakeError(ErrorCode::kUnsupported,
                   fmt::format("WAL segment \"{}\" is compressed; decompress it first", path));
}

std::string FormatSegmentName(uint32_t timeline, uint64_t number, uint32_t segment_size) {
  const uint64_t per_log = SegmentsPerLog(segment_size);
  return fmt::format("{:08X}{:08X}{:08X}", timeline, number / per_log, number % per_log);
}

static Result<FileDescriptor> OpenSegmentStart(const std::string& path) {
  auto opened = OpenRegularFile(path, Links::kFollow);
  if (!opened && opened.error().code == ErrorCode::kInvalidArgument)
    return MakeError(
        ErrorCode::kIo,
        fmt::format("\"{}\" has the name of a WAL segment, but is not a regular file", path));
  return opened;
}

static Result<FileStart> ReadStart(const FileDescriptor& fd, const std::string& path) {
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("stat file", path);
  FileStart out{};
  const ssize_t n = ReadFully(fd.get(), out.bytes, sizeof(out.bytes), 0);
  if (n < 0) return FileError("read file", path);
  out.length = static_cast<size_t>(n);
  out.stamp = {st.st_dev, st.st_ino, static_cast<uint64_t>(st.st_size),
               st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec};
  out.is_encrypted = LooksEncrypted({reinterpret_cast<const char*>(out.bytes), out.length});
  out.packing =
      PackingOf(Bytes(out.bytes, out.length), out.is_encrypted ? "" : SuffixUnlessWal(path, out));
  return out;
}

Result<FileStart> ReadStoredStart(const std::string& path) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenSegmentStart(path));
  return ReadStart(fd, path);
}

// Decompresses the start, or decrypts it only.
static Status UnpackStartOf(const FileDescriptor& fd, const std::string& path,
                            const std::string* cipher_pass, FileStart* out) {
  const auto unpacked = UnpackStart(out->packing, fd.get(), path, out->bytes, sizeof(out->bytes),
                                    {.cipher_pass = cipher_pass});
  if (!unpacked && unpacked.error().code != ErrorCode::kCorrupt)
    return tl::unexpected(unpacked.error());
  if (!unpacked) out->problem = WithoutFile(unpacked.error().message, path);
  out->length = unpacked ? unpacked->size : 0;
  return {};
}

Result<FileStart> ReadFileStart(const std::string& path, const std::string* cipher_pass) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenSegmentStart(path));
  ASSIGN_OR_RETURN(FileStart out, ReadStart(fd, path));
  if (!out.is_encrypted) cipher_pass = nullptr;
  if (cipher_pass != nullptr) {
    RETURN_IF_ERROR(UnpackStartOf(fd, path, cipher_pass, &out));
    out.packing = PackingOf(Bytes(out.bytes, out.length));
  }
  if (out.packing != Packing::kNone) RETURN_IF_ERROR(UnpackStartOf(fd, path, cipher_pass, &out));
  return out;
}

std::string Segment::ShownAs() const {
  return spooled ? SplitPath(path).name.substr(0, kNameLength) : path;
}

void Segment::Add(Segment other) {
  if (head == SegmentHead::kWal) {
    copies.push_back(std::move(other));
    return;
  }
  std::swap(*this, other);
  doubts.insert(doubts.end(), other.doubts.begin(), other.doubts.end());
}

static void JudgeHead(const WalIdentity& identity, const WalSegmentHead& head, WalPageFault fault,
                      Segment* segment) {
  const uint32_t segment_size = identity.segment_size;
  const Lsn start(segment->number * segment_size);
  const WalPageFault long_fault =
      identity.version == nullptr
          ? WalPageFault::kNone
          : CheckWalLongPageHeader(head.segment, identity.system_identifier, segment_size);
  if (fault == WalPageFault::kUnknownMagic) {
    segment->problem = fmt::format("it has page magic {:04X}, expected {}", head.page.magic,
                                   pg::SupportedWalMagics());
  } else if (fault == WalPageFault::kOtherVersion) {
    segment->problem =
        fmt::format("it has page magic {:04X}, the other segments are of PostgreSQL {}",
                    head.page.magic, identity.version->major);
  } else if (fault == WalPageFault::kFlags || fault == WalPageFault::kHeaderKind) {
    segment->problem = fmt::format(
        "it has page flags {:04X}, which are not those of a segment's first page", head.page.info);
  } else if (long_fault == WalPageFault::kSystemIdentifier) {
    segment->problem = fmt::format("it is of system {}, the other segments are of system {}",
                                   head.segment.system_identifier, identity.system_identifier);
  } else if (head.segment.segment_size != segment_size) {
    segment->problem = fmt::format(
        "it has a page header that says segments of {} bytes, the other segments say {}",
        head.segment.segment_size, segment_size);
  } else if (head.segment.page_size != kWalPageSize) {
    segment->problem =
        fmt::format("it has a page header that says WAL pages of {} bytes, expected {}",
                    head.segment.page_size, kWalPageSize);
  } else if (fault == WalPageFault::kLaterTimeline) {
    segment->problem =
        fmt::format("it has a first page of timeline {}, and a file name of timeline {}",
                    head.page.timeline, segment->timeline);
  } else if (fault == WalPageFault::kNone) {
    segment->head = SegmentHead::kWal;
    segment->head_timeline = head.page.timeline;
  } else if (head.page.address % segment_size == 0 &&
             (head.page.address < start.value || head.page.timeline < segment->timeline)) {
    segment->head = SegmentHead::kStale;
  } else {
    segment->problem = fmt::format("it has a first page with address {}, expected {}",
                                   Lsn(head.page.address).ToString(), start.ToString());
  }
}

void JudgeSegment(const WalIdentity& identity, const FileStart& start, Segment* segment) {
  const uint32_t segment_size = identity.segment_size;
  const Bytes bytes(start.bytes, start.length);
  segment->head = SegmentHead::kForeign;
  const WalPagePlace place{Lsn(segment->number * segment_size), segment_size,
                           identity.version ? identity.version->wal_magic : uint16_t{0}, 0,
                           segment->timeline};
  WalSegmentHead head;
  if (!start.problem.empty()) {
    segment->problem = start.problem;
  } else if (segment->file_size > segment_size) {
    segment->problem =
        fmt::format("it has {} bytes, a segment has {}", segment->file_size, segment_size);
  } else if (!head.Load(bytes)) {
    if (start.packing == Packing::kNone || segment->is_partial)
      segment->head = SegmentHead::kShort;
    else
      segment->problem = fmt::format("it is cut short: its {} data end after {} bytes",
                                     PackingName(start.packing), bytes.size());
  } else if (std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; })) {
    segment->head = SegmentHead::kZero;
  } else if (const char* compression = CompressionOf(bytes)) {
    segment->problem = fmt::format("it is compressed ({}): decompress it first", compression);
  } else if (LooksEncrypted({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {
    segment->problem = "it is encrypted: name the file with the repository's passphrase";
  } else {
    JudgeHead(identity, head, CheckWalPageHeader(head.page, place), segment);
  }
}

Status JudgeContent(const WalIdentity& identity, const FileDescriptor& content, Segment* segment) {
  ASSIGN_OR_RETURN(const FileStart start, ReadStart(content, segment->path));
  JudgeSegment(identity, start, segment);
  return {};
}

}  // namespace neon_redo

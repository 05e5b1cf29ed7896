// WAL segment files: their names, and what their first bytes say.
#ifndef NEON_REDO_ARCHIVE_SEGMENT_H_
#define NEON_REDO_ARCHIVE_SEGMENT_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpp_core/archive/unpack.h"
#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_page.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

class SpooledFile;  // restore_spool.h

// After the name of a segment that is not whole: of a receiver, or the last of a timeline.
inline constexpr std::string_view kPartialSuffix = ".partial";

// What a segment's file name says: 24 upper-case hexadecimal digits, ".partial" perhaps after them.
// The segment's number in the WAL follows only with the segment size (XLogFromFileName).
struct SegmentName {
  uint32_t timeline;
  uint32_t log;
  uint32_t segment;
  bool partial;
};

// Nothing for any other name.
std::optional<SegmentName> ParseSegmentName(std::string_view name);

// A segment that somebody compressed: NAME.gz, NAME.lz4, NAME.zst, … and the same with ".partial"
// after it. Nothing for any other name.
struct CompressedName {
  SegmentName segment;
  std::string_view suffix;  // ".gz"
};
std::optional<CompressedName> ParseCompressedName(std::string_view name);

// A file of an archive that has a segment: the names above, NAME.partial.gz, and pgBackRest's
// NAME-SHA1.gz, NAME-SHA1, NAME.partial-SHA1.gz. Nothing for any other name.
struct ArchivedName {
  SegmentName segment;
  std::string_view suffix;  // ".gz"; empty: not compressed, or not by its name
  std::string_view sha1;    // of the segment, 40 hexadecimal digits; empty: the name has none
};
std::optional<ArchivedName> ParseArchivedName(std::string_view name);

// "gzip", "lz4", "zstd", … when a file that begins with these bytes is compressed so; else null.
const char* CompressionOf(Bytes head);

constexpr uint64_t SegmentsPerLog(uint32_t segment_size) {
  return (uint64_t{1} << 32) / segment_size;
}
// The segment's number: its start LSN divided by the segment size. A name whose last part is at
// least SegmentsPerLog has none.
constexpr uint64_t SegmentNumber(const SegmentName& name, uint32_t segment_size) {
  return name.log * SegmentsPerLog(segment_size) + name.segment;
}

// kUnsupported: this file of a segment is compressed by a program whose files are not read.
tl::unexpected<Error> CompressedError(const std::string& path);

// The name of a whole segment (XLogFileName).
std::string FormatSegmentName(uint32_t timeline, uint64_t number, uint32_t segment_size);

// What the start of a segment file holds.
enum class SegmentHead {
  kWal,      // a long page header with the address that the name promises
  kZero,     // zeroes: allocated ahead of use
  kStale,    // a page of older WAL: recycled, not yet overwritten
  kShort,    // the file ends inside the header
  kForeign,  // something that cannot be read as this segment; Segment::problem says why
};

// Which file it was, and whether it has changed since.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  uint64_t size = 0;
  int64_t modified = 0;  // nanoseconds
  bool operator==(const FileStamp&) const = default;
};

struct Segment {
  std::string path;
  uint32_t timeline;
  uint64_t number;     // start LSN / segment size
  uint64_t file_size;  // of a compressed file what it should have when it is decompressed
  SegmentHead head;
  uint32_t head_timeline;  // of the first page; 0 unless head is kWal
  std::string problem;     // begins with "it"
  bool is_partial = false;
  Packing packing = Packing::kNone;
  std::string sha1{};             // that the content must have, by the file's name; empty: none
  std::vector<Segment> copies{};  // other files of the segment, the better first; they have none
  // Why other files of the segment are not read, which may have more of its WAL than this one.
  std::vector<Error> doubts{};
  // That a restore command brought it, and keeps `path` as long as it lives; null: it did not.
  std::shared_ptr<const SpooledFile> spooled{};
  FileStamp stamp{};                                 // of the file when it was looked at
  std::shared_ptr<const std::string> cipher_pass{};  // the file is encrypted; null: it is not
  // An open file that has the content, decompressed and checked, instead of `path`. It is another's,
  // who keeps it open as long as this is used. -1: there is none.
  int content = -1;

  // For messages: the path, or what the restore command was asked for, since its spool is gone when
  // somebody reads the message.
  std::string ShownAs() const;
  // By its name, size and first page.
  bool is_whole(uint32_t segment_size) const {
    return head == SegmentHead::kWal && !is_partial && file_size == segment_size;
  }
  // Another file of this segment, which goes before this one if this one has no WAL.
  void Add(Segment other);
  // It is read as a whole before any of it is used (segment_file.h).
  bool is_loaded() const {
    return content < 0 && (packing != Packing::kNone || cipher_pass || !sha1.empty());
  }
};

// What all segments of one WAL have in common.
struct WalIdentity {
  uint32_t segment_size;
  uint64_t system_identifier;
  const pg::Version* version;  // not null
};

// The first bytes of a segment file, decompressed.
struct FileStart {
  uint8_t bytes[kLongPageHeaderSize];
  size_t length;
  FileStamp stamp;
  Packing packing = Packing::kNone;
  bool is_encrypted = false;
  std::string problem{};  // why it could not be decompressed, as Segment's; empty: it could
};

// kNotFound: no file has the name. kIo: it cannot be read, or is not a regular file. kOutOfMemory.
// kUnsupported: it needs too much memory to be decompressed.
// cipher_pass: of encrypted files; null: their bytes are as they are.
Result<FileStart> ReadFileStart(const std::string& path, const std::string* cipher_pass = nullptr);
// The same without decompression, which may take long: of a compressed file the bytes as they are.
Result<FileStart> ReadStoredStart(const std::string& path);

// Says what the file holds, as a segment of this WAL: sets head and what follows from it. The other
// members are set. Without a version no segment of the WAL has a good header.
void JudgeSegment(const WalIdentity& identity, const FileStart& start, Segment* segment);
// The same by an open file that has the content. Errors: it cannot be read.
Status JudgeContent(const WalIdentity& identity, const FileDescriptor& content, Segment* segment);

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_SEGMENT_H_

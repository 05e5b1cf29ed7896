// WAL segment files and the directories that hold them.
#ifndef NEON_REDO_WAL_SEGMENT_H_
#define NEON_REDO_WAL_SEGMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_page.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

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

// "gzip", "lz4", "zstd", … when a file that begins with these bytes is compressed so; else null.
const char* CompressionOf(Bytes head);

// The name of a whole segment (XLogFileName).
std::string FormatSegmentName(uint32_t timeline, uint64_t number, uint32_t segment_size);

// What the start of a segment file holds.
enum class SegmentHead {
  kWal,      // a long page header with the address that the name promises
  kZero,     // zeroes: allocated ahead of use
  kStale,    // a page of older WAL: recycled, not yet overwritten
  kShort,    // the file ends inside the header
  kForeign,  // something that does not belong here; Segment::problem says what
};

struct Segment {
  std::string path;
  uint32_t timeline;
  uint64_t number;  // start LSN / segment size
  uint64_t file_size;
  SegmentHead head;
  uint32_t head_timeline;  // of the first page; 0 unless head is kWal
  std::string problem;
};

// What all segments of one WAL have in common.
struct WalIdentity {
  uint32_t segment_size;
  uint64_t system_identifier;
  const pg::Version* version;  // not null
};

// The segments in one directory, their size and their cluster. An immutable value: it is a
// snapshot, files that come later are not seen.
class WalDirectory {
 public:
  // Lists path, or path/pg_wal when path itself has no segments, and reads the first page header of
  // each segment. Files whose names are not segment names are left alone, history files excepted.
  // Segment size, system identifier and version are those that most headers agree on; a header that
  // differs makes its segment kForeign, and Open does not fail. A directory in which a segment is
  // renamed or removed meanwhile is listed again, up to ten times.
  // kNotFound: no such directory, or no segments. kIo: not readable. kCorrupt: not one header is
  // good; the message names the first file.
  static Result<WalDirectory> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const WalIdentity& identity() const { return identity_; }
  uint32_t segment_size() const { return identity_.segment_size; }
  uint64_t system_identifier() const { return identity_.system_identifier; }
  const pg::Version& version() const { return *identity_.version; }
  // In ascending order, without duplicates.
  const std::vector<uint32_t>& timelines() const { return timelines_; }

  // The segments that make up the WAL of one timeline: its own, and those of the timelines it
  // descends from up to the segment where each was left. In order of number; numbers may be
  // missing. Without a timeline, the highest one whose line has the segment of `from` (or simply
  // the highest one). Descent is read from TIMELINE.history if it is there; otherwise every lower
  // timeline in the directory is taken for an ancestor that was left at the child's first segment.
  // kNotFound: no such timeline, or none that covers `from`. kCorrupt: a bad history file.
  Result<std::vector<Segment>> Line(std::optional<uint32_t> timeline,
                                    std::optional<Lsn> from) const;

  // kUnsupported: the WAL of this line (as Line returned it for the timeline), from `from` to `to`,
  // has segments that are only there compressed. The message names the first.
  Status RefuseCompressed(const std::vector<Segment>& line, std::optional<uint32_t> timeline,
                          std::optional<Lsn> from, std::optional<Lsn> to) const;

  // One segment as it is now, whether or not it was there when the directory was listed; the whole
  // file where NAME and NAME.partial are there. Nothing: no such file. kIo: not readable.
  // kUnsupported: it is only there compressed; the message names the file.
  Result<std::optional<Segment>> Look(uint32_t timeline, uint64_t number) const;

  Lsn SegmentStart(uint64_t number) const { return Lsn(number * segment_size()); }

 private:
  struct Branch {
    uint32_t timeline;
    uint64_t first_segment;
  };

  Status ListSegments(const std::string& path);
  Status List(const std::string& path);
  Status ReadHeads();
  void Judge(Segment* segment, const uint8_t* head, size_t length) const;
  void JudgeHead(Segment* segment, const WalSegmentHead& head, WalPageFault fault) const;
  Result<std::vector<Branch>> Descent(uint32_t timeline) const;
  Result<std::vector<Segment>> LineOf(uint32_t timeline) const;

  std::string path_;
  WalIdentity identity_{0, 0, nullptr};  // the version is known once Open has returned
  std::vector<uint32_t> timelines_;
  std::vector<Segment> segments_;
  std::vector<SegmentName> names_;  // of segments_, until the segment size is known
  struct Compressed {
    std::string file;
    SegmentName name;
  };
  uint64_t NumberOf(const SegmentName& name) const;
  bool IsThere(const SegmentName& name) const;

  std::vector<Compressed> compressed_;  // in order of name
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SEGMENT_H_

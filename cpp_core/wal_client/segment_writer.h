// SegmentWriter: a stream of WAL to segment files, as PostgreSQL and pg_receivewal know them.
#ifndef NEON_REDO_WAL_CLIENT_SEGMENT_WRITER_H_
#define NEON_REDO_WAL_CLIENT_SEGMENT_WRITER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/base/directory.h"
#include "cpp_core/wal_client/segment_compressor.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

// Where streaming into a directory goes on: always the start of a segment.
struct ResumePoint {
  uint32_t timeline;
  Lsn start;
  uint64_t system_identifier;      // of the WAL that is there; 0: none of it tells
  std::vector<std::string> notes;  // files that are not taken for what they should be
};

// One process at a time writes into a directory: the writer holds a lock on it. All files are those
// of the locked directory, and no links (Directory). Not thread-safe.
//
// The segment in work is NAME.partial, of full size from the start and zeroes behind the WAL. Once
// it is complete it is flushed and renamed. After a crash at any moment every NAME is complete and
// on disk, and so are the bytes of NAME.partial below flushed().
class SegmentWriter {
 public:
  // kNotFound: no such directory. kIo: not writable, or locked by another writer.
  static Result<std::unique_ptr<SegmentWriter>> Open(const std::string& directory,
                                                     uint32_t segment_size,
                                                     Compression compression);
  ~SegmentWriter() = default;
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  // From the files that are there, compressed ones of other programs included: the segment after
  // the last complete one of the highest timeline. A compressed segment is complete when it
  // decompresses to a whole segment. nullopt: no segments. kCorrupt: a segment of the wrong size.
  // kUnsupported: the last one is compressed by an unknown method.
  Result<std::optional<ResumePoint>> FindResumePoint() const;

  // The first call: `start` is the start of a segment.
  Status Begin(uint32_t timeline, Lsn start);
  // WAL from written() on; anything else is refused (kInvalidArgument).
  Status Write(Lsn start, Bytes wal);
  // Everything written is on disk when it returns. After a failed flush each later one fails with
  // the same error, and flushed() stays: the kernel reports an error of writing back only once.
  Status Flush();
  // What follows is of another timeline. Its first segment begins with the same bytes as the old
  // timeline's last one, which stays as NAME.partial (XLogFileCopy in access/transam/xlog.c).
  Status SwitchTimeline(uint32_t timeline);
  // Writes a timeline history file, unless it is there.
  Status WriteHistory(const std::string& name, const std::string& content);
  // Flushes, and waits until complete segments are compressed.
  Status Close();

  const ArchiveCounts& counts() const { return counts_; }

  const Directory& directory() const { return directory_; }
  Lsn written() const { return written_; }
  Lsn flushed() const { return flushed_; }

 private:
  SegmentWriter(Directory directory, uint32_t segment_size, Compression compression);
  // Of the segment in work.
  std::string PartialName() const;
  std::string PartialPath() const { return directory_.PathOf(PartialName()); }
  Status OpenSegment();
  Status CompressLeftovers();
  Status Allocate();
  Status FinishSegment();
  Status Sync();
  // Keeps the first failure for Flush.
  Status Keep(Status flushed);

  const Directory directory_;
  const uint32_t segment_size_;
  FileDescriptor fd_;  // of the segment that holds written_; none: it is not open
  uint32_t timeline_ = 0;
  uint64_t number_ = 0;  // of the open segment
  Lsn written_;
  Lsn flushed_;
  Status kept_;  // the first flush that failed
  ArchiveCounts counts_;
  SegmentCompressor compressor_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_SEGMENT_WRITER_H_

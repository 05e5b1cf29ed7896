// The content of segment files, compressed or not.
#ifndef NEON_REDO_ARCHIVE_SEGMENT_FILE_H_
#define NEON_REDO_ARCHIVE_SEGMENT_FILE_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/base/file_descriptor.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct FreeMemory {
  void operator()(uint8_t* bytes) const { std::free(bytes); }
};
using SegmentBytes = std::unique_ptr<uint8_t[], FreeMemory>;

// A segment in memory. The rest of the last WAL page, after `size`, is zero.
struct SegmentContent {
  SegmentBytes bytes;
  uint64_t size = 0;
  UnpackInput input{};  // memory that loading the next segment needs as well
};

// Opens the file of a segment, which may have been replaced since it was listed: NAME.partial may be
// NAME by now. kNotFound: it is not there. kIo: it cannot be opened, or is no regular file.
Result<FileDescriptor> OpenSegmentFile(std::string path);
// The same, or another descriptor of its content (Segment::content).
Result<FileDescriptor> OpenSegmentContent(const Segment& segment);

// Reads the file, decompresses it and checks its SHA-1, if its name has one. A .partial file may end
// within its compressed stream, since its receiver was interrupted; the content is then what is there.
// Never more than one segment is read. Thread-safe.
// kCorrupt: it is damaged, cut short or too long, or has another checksum; the message names the file.
// kNotFound, kIo: it is not there, or cannot be read.
// memory: content of another segment of this size that is no longer needed; empty: some is allocated.
Result<SegmentContent> LoadSegment(const Segment& segment, uint32_t segment_size,
                                   SegmentContent memory = {});

// The same into a file without a name in that directory. `stop` as in UnpackOptions. Links at the
// file's own name are not followed. How an encrypted file is compressed need not be known.
// kInvalidArgument: it is a link. kIo also: the directory has no room for a segment, or no file can be
// made there; the message says what to do.
struct UnpackedSegment {
  FileDescriptor fd;
  uint64_t size = 0;  // of the content; zeroes follow to the end of its last WAL page
};
Result<UnpackedSegment> UnpackSegment(const Segment& segment, uint32_t segment_size,
                                      const std::string& directory, const std::atomic<bool>* stop);

// A segment file, read at any place. Not thread-safe.
class SegmentReader {
 public:
  // Errors as LoadSegment.
  static Result<SegmentReader> Open(const Segment& segment, uint32_t segment_size);
  // The same for the first bytes, as many as `size`: of a compressed file no more is decompressed,
  // and no checksum of the content is looked at.
  static Result<SegmentReader> OpenStart(const Segment& segment, uint32_t size);
  // Reads until n bytes or the end; the number read, or -1 (errno).
  ssize_t Read(uint8_t* out, size_t n, uint64_t offset) const;

 private:
  FileDescriptor fd_;
  SegmentContent content_;  // of a file that is loaded
};

// Loads segments ahead of a reader, each on a thread of its own. Not thread-safe.
class SegmentLoader {
 public:
  explicit SegmentLoader(uint32_t segment_size) : segment_size_(segment_size) {}

  // How many segments may be ahead, besides the one that is read: two, or one where segments are
  // larger than 64 MB.
  size_t most_ahead() const { return segment_size_ > (uint32_t{64} << 20) ? 1 : 2; }
  // The segment's content, which may have been loaded ahead; and begins to load those after it, as
  // many as may be ahead. What is ahead of other segments is dropped.
  Result<SegmentContent> Take(const Segment& segment, const std::vector<const Segment*>& after);
  // Content that is no longer needed: its memory is used again, since fresh memory costs a fault for
  // each page.
  void Recycle(SegmentContent content) {
    if (content.bytes) free_.push_back(std::move(content));
  }

 private:
  SegmentContent TakeMemory();
  void Begin(const Segment& segment);

  const uint32_t segment_size_;
  std::vector<SegmentContent> free_;
  std::map<std::string, std::future<Result<SegmentContent>>> ahead_;  // by path
};

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_SEGMENT_FILE_H_

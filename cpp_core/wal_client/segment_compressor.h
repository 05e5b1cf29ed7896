// Compresses complete segments while the writer continues.
#ifndef NEON_REDO_WAL_CLIENT_SEGMENT_COMPRESSOR_H_
#define NEON_REDO_WAL_CLIENT_SEGMENT_COMPRESSOR_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cpp_core/archive/unpack.h"
#include "cpp_core/base/directory.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

// ".lz4" as pg_receivewal names its files, ".zst"; "" for none.
const char* CompressionSuffix(Compression compression);

// kCorrupt: such a file is no segment.
tl::unexpected<Error> WrongSegmentSize(const std::string& path, uint64_t size,
                                       uint32_t segment_size);

// Turns NAME into NAME.lz4 or NAME.zst: written aside, flushed, renamed, and only then NAME is
// removed; a crash in between leaves NAME, and Add takes it again. kCorrupt: it does not have the
// size of a segment; it is then left as it is.
Status CompressFile(const Directory& directory, const std::string& name, uint32_t segment_size,
                    Compression compression);

// The first `length` bytes of what a file packed so holds. kCorrupt: it is not such a file.
Result<std::string> DecompressHead(const Directory& directory, const std::string& name,
                                   Packing packing, size_t length);
// Whether it holds exactly a segment, and its checksums are right. kIo: it cannot be read.
Result<bool> IsWhole(const Directory& directory, const std::string& name, Packing packing,
                     uint32_t segment_size);
// Whether the file begins as a WAL segment does, or as what a known program compressed.
bool HoldsWal(const Directory& directory, const std::string& name);

// A thread with a queue of files. Add and Finish come from one thread.
class SegmentCompressor {
 public:
  // The directory outlives it.
  SegmentCompressor(const Directory& directory, uint32_t segment_size, Compression compression)
      : directory_(directory), segment_size_(segment_size), compression_(compression) {}
  ~SegmentCompressor();  // leaves what is queued; the file in work is completed

  // Queues a complete segment. Does nothing without compression. Returns the failure of an earlier
  // one, if any: compression stopped there, the segments stay as they are.
  Status Add(std::string name);
  // Waits until the queue is empty.
  Status Finish();

 private:
  void Loop();

  const Directory& directory_;
  const uint32_t segment_size_;
  const Compression compression_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> queue_;
  std::optional<Error> failure_;
  bool busy_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_SEGMENT_COMPRESSOR_H_

// Compresses complete segments behind the writer's back.
#ifndef NEON_REDO_WAL_CLIENT_SEGMENT_COMPRESSOR_H_
#define NEON_REDO_WAL_CLIENT_SEGMENT_COMPRESSOR_H_

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

// ".lz4" as pg_receivewal names its files, ".zst"; "" for none.
const char* CompressionSuffix(Compression compression);

// Turns PATH into PATH.lz4 or PATH.zst: written aside, flushed, renamed, and only then PATH is
// removed; a crash in between leaves PATH, and Add takes it again.
Status CompressFile(const std::string& path, Compression compression);

// The first `length` bytes of what a file compressed so holds. kCorrupt: it is not such a file.
Result<std::string> DecompressHead(const std::string& path, Compression compression, size_t length);

// A thread with a queue of files. Add and Finish come from one thread.
class SegmentCompressor {
 public:
  explicit SegmentCompressor(Compression compression) : compression_(compression) {}
  ~SegmentCompressor();  // leaves what is queued; the file in work is completed

  // Queues a complete segment. Does nothing without compression. Returns the failure of an earlier
  // one, if any: compression stopped there, the segments stay as they are.
  Status Add(std::string path);
  // Waits until the queue is empty.
  Status Finish();

 private:
  void Loop();

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

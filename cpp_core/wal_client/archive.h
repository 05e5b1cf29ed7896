// WalArchive: a WalStream joined to a SegmentWriter. What `neon-redo receive` runs.
#ifndef NEON_REDO_WAL_CLIENT_ARCHIVE_H_
#define NEON_REDO_WAL_CLIENT_ARCHIVE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cpp_core/wal_client/segment_writer.h"
#include "cpp_core/wal_client/stream.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

struct ArchiveOptions {
  StreamOptions stream;
  std::string directory;
  std::optional<std::string> slot;
  bool create_slot = false;  // unless it exists
  bool synchronous = false;  // flush and report after every batch
  Compression compression = Compression::kNone;
  std::optional<Lsn> until;
};

// Not thread-safe.
//
// Where it starts: behind the complete segments of the directory; else at the slot's position; else
// at the server's end of WAL; always from the start of a segment. The flush position is reported
// with a slot or when synchronous, as pg_receivewal does, so that a server with
// synchronous_standby_names = '*' does not wait for one that flushes seldom.
class WalArchive {
 public:
  // Connects, checks that the server is the one whose WAL the directory has, and starts streaming.
  // `cancel` outlives the archive.
  static Result<std::unique_ptr<WalArchive>> Open(ArchiveOptions options,
                                                  const CancelSignal& cancel);

  // One round: waits up to max_wait for WAL, writes it, flushes and reports what is due. Returns
  // whether `until` is reached. Errors are final (WalStream::Next).
  Result<bool> Step(std::chrono::milliseconds max_wait);

  // Flushes, reports, ends the stream in order and waits for the compressor.
  Status Close();

  const SegmentWriter& writer() const { return *writer_; }
  WalStream& stream() { return stream_; }
  Lsn start() const { return start_; }

 private:
  using Clock = std::chrono::steady_clock;

  WalArchive(ArchiveOptions options, const CancelSignal& cancel);
  Status Begin();
  Result<ResumePoint> FindStart(const SystemIdentity& server);
  Status EnsureSlot();
  Status FetchHistory(uint32_t timeline);
  Status Write(bool* reply_requested);
  Status FlushAndReport();
  void Report();
  bool reports_flush() const { return options_.slot || options_.synchronous; }

  const ArchiveOptions options_;
  uint32_t segment_size_ = 0;
  WalStream stream_;
  MessageBatch batch_;
  std::unique_ptr<SegmentWriter> writer_;
  Lsn start_;
  Clock::time_point last_flush_{};
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_ARCHIVE_H_

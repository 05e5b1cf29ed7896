// Frames on their way to a worker, in memory that the pipe refers to instead of copying.
#ifndef NEON_REDO_REDO_MANAGER_FRAME_QUEUE_H_
#define NEON_REDO_REDO_MANAGER_FRAME_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace neon_redo {

// Positions count the bytes ever queued. Not thread-safe.
class FrameQueue {
 public:
  FrameQueue() = default;
  ~FrameQueue();
  FrameQueue(const FrameQueue&) = delete;
  FrameQueue& operator=(const FrameQueue&) = delete;

  // n bytes in one piece, to be filled in before the next call.
  uint8_t* Grow(size_t n);

  // Hands the pipe what it takes. False: it takes no more now, for whatever reason.
  bool Send(int fd);

  uint64_t queued() const { return queued_; }
  uint64_t sent() const { return sent_; }
  size_t unsent() const { return static_cast<size_t>(queued_ - sent_); }

  // The worker has read all before position. Until it is said, nothing of it changes.
  void HasRead(uint64_t position);

  // Forgets everything, positions too. For when that pipe gets no more; what is in it stays there.
  void Clear();

 private:
  struct Chunk {
    uint8_t* memory;
    size_t size;
    size_t used = 0;
    size_t sent = 0;
    uint64_t end = 0;  // the position after what is used
  };

  static Chunk Map(size_t size);
  static void Unmap(const Chunk& chunk);
  void Recycle(Chunk chunk);
  bool SendPiece(int fd, Chunk* chunk);

  std::deque<Chunk> chunks_;   // in order of position; Grow takes from the last
  std::vector<Chunk> spares_;  // of kChunkSize, in no use
  uint64_t queued_ = 0;
  uint64_t sent_ = 0;
  bool splices_ = true;  // until the kernel refuses it
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_FRAME_QUEUE_H_

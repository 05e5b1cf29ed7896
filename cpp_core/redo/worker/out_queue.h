// Bytes on their way into a pipe.
#ifndef NEON_REDO_REDO_WORKER_OUT_QUEUE_H_
#define NEON_REDO_REDO_WORKER_OUT_QUEUE_H_

#include <sys/uio.h>

#include <cstring>
#include <memory>
#include <vector>

#include "neon_redo/bytes.h"

namespace neon_redo {

// Small pieces are copied together, since a pipe takes one large piece faster than many small ones;
// large ones are referred to. Not thread-safe.
class OutQueue {
 public:
  // n bytes to fill in now, before the next call.
  uint8_t* Grow(size_t n) {
    if (capacity_ - tail_ < n) MakeRoom(n);
    uint8_t* place = buffer_.get() + tail_;
    tail_ += n;
    unsent_ += n;
    return place;
  }

  // Copies when small; else the bytes must live until the queue is empty or cleared.
  void Append(Bytes bytes) {
    if (bytes.size() < kBorrowSize) {
      std::memcpy(Grow(bytes.size()), bytes.data(), bytes.size());
    } else {
      borrowed_.push_back({tail_, bytes});
      unsent_ += bytes.size();
    }
  }

  size_t unsent() const { return unsent_; }
  bool empty() const { return unsent_ == 0; }
  void Clear();

  // One writev. What write(2) returns, errno included. Not when empty.
  ssize_t WriteTo(int fd);

 private:
  static constexpr size_t kBorrowSize = 32768;

  // Bytes that go out when the copied bytes before position have.
  struct Borrowed {
    size_t position;
    Bytes bytes;
  };

  void MakeRoom(size_t n);
  void Consume(size_t n);

  std::unique_ptr<uint8_t[]> buffer_;
  size_t capacity_ = 0;
  size_t head_ = 0;
  size_t tail_ = 0;
  size_t unsent_ = 0;
  std::vector<Borrowed> borrowed_;  // in order; few
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_OUT_QUEUE_H_
